from adagp_hdl.control.registers import RegisterFile
from adagp_tb.cocotb_runner import run_bench


def test_register_file():
    run_bench(RegisterFile(), "adagp_tb.cocotb_control_registers", name="control_registers", parameters={"seed": 1})
