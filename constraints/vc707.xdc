# The machine alone, out of context, on the Virtex-7 of a VC707 (xc7vx485tffg1761-2).

create_clock -name aclk -period 5.000 [get_ports aclk]

# In a system the clock comes from a global buffer; without one its skew would be that of ordinary wires.
set_property HD.CLK_SRC BUFGCTRL_X0Y0 [get_ports aclk]

# What the buses, the reset and the interrupt lead to is for the system to constrain, which knows it:
# the slack reported is that of the machine's own paths, from register to register.
set_false_path -from [get_ports -filter {DIRECTION == IN && NAME != aclk} *]
set_false_path -to [all_outputs]
