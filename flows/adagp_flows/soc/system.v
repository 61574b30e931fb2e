// A system-on-chip around the accelerator: a PicoRV32 processor with on-chip memory, a flash with the
// image, external memory behind an arbiter, a console, the accelerator's interrupt.
//
//   00000000  on-chip memory, 64 KiB: the firmware
//   10000000  console (write): a character; 10000004: ends the simulation with an exit code
//   20000000  flash, 512 KiB, read only: the image
//   40000000  registers of the accelerator
//   80000000  external memory, 1 MiB, for processor and accelerator
//
// +firmware=FILE and +image=FILE fill memory and flash; +result=FILE takes the external memory in the
// end. All are words of 32 bits in hexadecimal. An access to another address, and a response that is an
// error to the processor or breaks the rules of the bus, sets `broken`.
//
// Compile with configuration.vh first, which defines ADAGP_DATA_BITS, then adagp.v and bench_memory.v of a
// release folder, picorv32.v, arbiter.v.

module system (
  input  wire        clk,
  input  wire        resetn,
  output reg         console_valid,
  output reg  [7:0]  console_data,
  output reg         halted,
  output reg  [31:0] exit_code,
  output wire        trap,        // the processor met an instruction that it does not have, or the like
  output reg         broken
);
  localparam DATA_BITS = `ADAGP_DATA_BITS;
  localparam BYTES = DATA_BITS / 8;
  localparam LANES = DATA_BITS / 32;
  localparam RAM_WORDS = 1 << 14, FLASH_WORDS = 1 << 17, MEMORY_WORDS = 1 << 18;
  localparam [31:0] MEMORY = 32'h80000000;
  localparam IRQ = 3;             // of the processor; the ones below are its own

  // Processor
  wire        cpu_valid, cpu_instr, cpu_ready;
  wire [31:0] cpu_addr, cpu_wdata, cpu_rdata;
  wire [3:0]  cpu_wstrb;
  wire        irq;

  picorv32 #(
    .BARREL_SHIFTER(1), .ENABLE_FAST_MUL(1), .ENABLE_DIV(1), .ENABLE_IRQ(1), .ENABLE_IRQ_TIMER(0),
    .LATCHED_IRQ(~(32'd1 << IRQ)),  // the accelerator's interrupt is a level
    .PROGADDR_RESET(32'h00000000), .PROGADDR_IRQ(32'h00000010)
  ) cpu (
    .clk(clk), .resetn(resetn), .trap(trap),
    .mem_valid(cpu_valid), .mem_instr(cpu_instr), .mem_ready(cpu_ready), .mem_addr(cpu_addr),
    .mem_wdata(cpu_wdata), .mem_wstrb(cpu_wstrb), .mem_rdata(cpu_rdata),
    .irq({31'd0, irq} << IRQ), .eoi(),
    .mem_la_read(), .mem_la_write(), .mem_la_addr(), .mem_la_wdata(), .mem_la_wstrb(),
    .pcpi_valid(), .pcpi_insn(), .pcpi_rs1(), .pcpi_rs2(),
    .pcpi_wr(1'b0), .pcpi_rd(32'd0), .pcpi_wait(1'b0), .pcpi_ready(1'b0),
    .trace_valid(), .trace_data()
  );

  wire at_ram = cpu_addr < 4 * RAM_WORDS;
  wire at_console = cpu_addr[31:3] == 29'h02000000;
  wire at_flash = cpu_addr[31:28] == 2;
  wire at_registers = cpu_addr[31:12] == 20'h40000;
  wire at_memory = cpu_addr[31:28] == MEMORY[31:28];

  // What answers in the next cycle: memories on the chip, the console, and nothing at other addresses
  reg [31:0] ram [0:RAM_WORDS-1];
  reg [31:0] flash [0:FLASH_WORDS-1];
  reg        near_ready;
  reg [31:0] near_rdata;
  wire       near = resetn && cpu_valid && !near_ready && !at_registers && !at_memory;
  integer    lane;

  always @(posedge clk) begin
    near_ready <= near;
    near_rdata <= at_ram ? ram[cpu_addr[15:2]] : at_flash ? flash[cpu_addr[18:2]] : 32'd0;
    for (lane = 0; lane < 4; lane = lane + 1)
      if (near && at_ram && cpu_wstrb[lane])
        ram[cpu_addr[15:2]][8 * lane +: 8] <= cpu_wdata[8 * lane +: 8];
    console_valid <= near && at_console && cpu_wstrb[0] && !cpu_addr[2];
    console_data <= cpu_wdata[7:0];
    if (!resetn)
      halted <= 0;
    else if (near && at_console && cpu_wstrb != 0 && cpu_addr[2]) begin
      halted <= 1;
      exit_code <= cpu_wdata;
    end
  end

  // Registers of the accelerator: the processor's adapter to AXI4-Lite
  wire        registers_ready;
  wire [31:0] registers_rdata;
  wire [31:0] s_awaddr, s_wdata, s_araddr, s_rdata;
  wire [3:0]  s_wstrb;
  wire [2:0]  s_awprot, s_arprot;
  wire [1:0]  s_bresp, s_rresp;
  wire        s_awvalid, s_awready, s_wvalid, s_wready, s_bvalid, s_bready;
  wire        s_arvalid, s_arready, s_rvalid, s_rready;

  picorv32_axi_adapter to_registers (
    .clk(clk), .resetn(resetn),
    .mem_valid(cpu_valid && at_registers), .mem_instr(cpu_instr), .mem_ready(registers_ready), .mem_addr(cpu_addr),
    .mem_wdata(cpu_wdata), .mem_wstrb(cpu_wstrb), .mem_rdata(registers_rdata),
    .mem_axi_awvalid(s_awvalid), .mem_axi_awready(s_awready), .mem_axi_awaddr(s_awaddr), .mem_axi_awprot(s_awprot),
    .mem_axi_wvalid(s_wvalid), .mem_axi_wready(s_wready), .mem_axi_wdata(s_wdata), .mem_axi_wstrb(s_wstrb),
    .mem_axi_bvalid(s_bvalid), .mem_axi_bready(s_bready),
    .mem_axi_arvalid(s_arvalid), .mem_axi_arready(s_arready), .mem_axi_araddr(s_araddr), .mem_axi_arprot(s_arprot),
    .mem_axi_rvalid(s_rvalid), .mem_axi_rready(s_rready), .mem_axi_rdata(s_rdata)
  );

  // External memory for the processor: a beat of the wide bus for each access
  wire        memory_ready;
  wire [31:0] memory_rdata, c_awaddr, c_wdata, c_araddr;
  wire [3:0]  c_wstrb;
  wire        c_awvalid, c_awready, c_wvalid, c_wready, c_bvalid, c_bready;
  wire        c_arvalid, c_arready, c_rvalid, c_rready;
  wire [DATA_BITS-1:0] rdata;
  wire [31:0] c_lane = cpu_addr / 4 % LANES;

  picorv32_axi_adapter to_memory (
    .clk(clk), .resetn(resetn),
    .mem_valid(cpu_valid && at_memory), .mem_instr(cpu_instr), .mem_ready(memory_ready), .mem_addr(cpu_addr),
    .mem_wdata(cpu_wdata), .mem_wstrb(cpu_wstrb), .mem_rdata(memory_rdata),
    .mem_axi_awvalid(c_awvalid), .mem_axi_awready(c_awready), .mem_axi_awaddr(c_awaddr), .mem_axi_awprot(),
    .mem_axi_wvalid(c_wvalid), .mem_axi_wready(c_wready), .mem_axi_wdata(c_wdata), .mem_axi_wstrb(c_wstrb),
    .mem_axi_bvalid(c_bvalid), .mem_axi_bready(c_bready),
    .mem_axi_arvalid(c_arvalid), .mem_axi_arready(c_arready), .mem_axi_araddr(c_araddr), .mem_axi_arprot(),
    .mem_axi_rvalid(c_rvalid), .mem_axi_rready(c_rready), .mem_axi_rdata(rdata[32 * c_lane +: 32])
  );

  assign cpu_ready = near_ready || registers_ready || memory_ready;
  assign cpu_rdata = near_ready ? near_rdata : registers_ready ? registers_rdata : memory_rdata;

  // Accelerator
  wire [31:0]         a_araddr, a_awaddr;
  wire [7:0]          a_arlen, a_awlen;
  wire [2:0]          a_arsize, a_awsize;
  wire [1:0]          a_arburst, a_awburst, rresp, bresp;
  wire [DATA_BITS-1:0] a_wdata;
  wire [BYTES-1:0]    a_wstrb;
  wire a_arid, a_arvalid, a_arready, a_rvalid, a_rready, a_awid, a_awvalid, a_awready;
  wire a_wlast, a_wvalid, a_wready, a_bvalid, a_bready, rid, rlast, bid;

  adagp accelerator (
    .aclk(clk), .aresetn(resetn), .irq(irq),
    .s_axil_awaddr(s_awaddr[11:0]), .s_axil_awprot(s_awprot), .s_axil_awvalid(s_awvalid), .s_axil_awready(s_awready),
    .s_axil_wdata(s_wdata), .s_axil_wstrb(s_wstrb), .s_axil_wvalid(s_wvalid), .s_axil_wready(s_wready),
    .s_axil_bresp(s_bresp), .s_axil_bvalid(s_bvalid), .s_axil_bready(s_bready),
    .s_axil_araddr(s_araddr[11:0]), .s_axil_arprot(s_arprot), .s_axil_arvalid(s_arvalid), .s_axil_arready(s_arready),
    .s_axil_rdata(s_rdata), .s_axil_rresp(s_rresp), .s_axil_rvalid(s_rvalid), .s_axil_rready(s_rready),
    .m_axi_arid(a_arid), .m_axi_araddr(a_araddr), .m_axi_arlen(a_arlen), .m_axi_arsize(a_arsize),
    .m_axi_arburst(a_arburst), .m_axi_arlock(), .m_axi_arcache(), .m_axi_arprot(), .m_axi_arqos(),
    .m_axi_arvalid(a_arvalid), .m_axi_arready(a_arready),
    .m_axi_rid(rid), .m_axi_rdata(rdata), .m_axi_rresp(rresp), .m_axi_rlast(rlast),
    .m_axi_rvalid(a_rvalid), .m_axi_rready(a_rready),
    .m_axi_awid(a_awid), .m_axi_awaddr(a_awaddr), .m_axi_awlen(a_awlen), .m_axi_awsize(a_awsize),
    .m_axi_awburst(a_awburst), .m_axi_awlock(), .m_axi_awcache(), .m_axi_awprot(), .m_axi_awqos(),
    .m_axi_awvalid(a_awvalid), .m_axi_awready(a_awready),
    .m_axi_wdata(a_wdata), .m_axi_wstrb(a_wstrb), .m_axi_wlast(a_wlast), .m_axi_wvalid(a_wvalid),
    .m_axi_wready(a_wready),
    .m_axi_bid(bid), .m_axi_bresp(bresp), .m_axi_bvalid(a_bvalid), .m_axi_bready(a_bready)
  );

  // Both to the external memory, which counts addresses from 0
  localparam REQUEST_BITS = 1 + 32 + 8 + 3 + 2;
  localparam [2:0] SIZE = $clog2(BYTES);
  localparam [12:0] ONE_BEAT = {8'd0, SIZE, 2'b01};
  localparam [31:0] BEAT = ~(BYTES - 1);
  wire        arid, arvalid, arready, rvalid, rready, awid, awvalid, awready;
  wire        wlast, wvalid, wready, bvalid, bready, rules_broken;
  wire [31:0] araddr, awaddr;
  wire [7:0]  arlen, awlen;
  wire [2:0]  arsize, awsize;
  wire [1:0]  arburst, awburst;
  wire [DATA_BITS-1:0] wdata;
  wire [BYTES-1:0]     wstrb;
  wire [BYTES-1:0]     c_strobes = {{BYTES - 4{1'b0}}, c_wstrb};

  arbiter #(.REQUEST_BITS(REQUEST_BITS), .DATA_BITS(DATA_BITS + BYTES), .READS_LOG2(2)) bus (
    .clk(clk), .resetn(resetn),
    .ar({1'b0, (c_araddr ^ MEMORY) & BEAT, ONE_BEAT,
         a_arid, a_araddr ^ MEMORY, a_arlen, a_arsize, a_arburst}),
    .arvalid({c_arvalid, a_arvalid}), .arready({c_arready, a_arready}),
    .rvalid({c_rvalid, a_rvalid}), .rready({c_rready, a_rready}),
    .aw({1'b0, (c_awaddr ^ MEMORY) & BEAT, ONE_BEAT,
         a_awid, a_awaddr ^ MEMORY, a_awlen, a_awsize, a_awburst}),
    .awvalid({c_awvalid, a_awvalid}), .awready({c_awready, a_awready}),
    .w({{LANES{c_wdata}}, c_strobes << 4 * c_lane, a_wdata, a_wstrb}),
    .wlast({1'b1, a_wlast}), .wvalid({c_wvalid, a_wvalid}), .wready({c_wready, a_wready}),
    .bvalid({c_bvalid, a_bvalid}), .bready({c_bready, a_bready}),
    .memory_ar({arid, araddr, arlen, arsize, arburst}), .memory_arvalid(arvalid), .memory_arready(arready),
    .memory_rlast(rlast), .memory_rvalid(rvalid), .memory_rready(rready),
    .memory_aw({awid, awaddr, awlen, awsize, awburst}), .memory_awvalid(awvalid), .memory_awready(awready),
    .memory_w({wdata, wstrb}), .memory_wlast(wlast), .memory_wvalid(wvalid), .memory_wready(wready),
    .memory_bvalid(bvalid), .memory_bready(bready)
  );

  bench_memory #(.DATA_BITS(DATA_BITS), .WORDS(MEMORY_WORDS)) memory (
    .aclk(clk), .aresetn(resetn), .broken(rules_broken),
    .arid(arid), .araddr(araddr), .arlen(arlen), .arsize(arsize), .arburst(arburst),
    .arvalid(arvalid), .arready(arready),
    .rid(rid), .rdata(rdata), .rresp(rresp), .rlast(rlast), .rvalid(rvalid), .rready(rready),
    .awid(awid), .awaddr(awaddr), .awlen(awlen), .awsize(awsize), .awburst(awburst),
    .awvalid(awvalid), .awready(awready),
    .wdata(wdata), .wstrb(wstrb), .wlast(wlast), .wvalid(wvalid), .wready(wready),
    .bid(bid), .bresp(bresp), .bvalid(bvalid), .bready(bready)
  );

  always @(posedge clk)
    if (!resetn)
      broken <= 0;
    else if (rules_broken || (near && !at_ram && !at_console && !at_flash)
             || (s_bvalid && s_bresp != 0) || (s_rvalid && s_rresp != 0)
             || (c_bvalid && bresp != 0) || (c_rvalid && rresp != 0))
      broken <= 1;

  reg [8*512-1:0] firmware, image, result;
  reg kept;

  initial begin
    if ($value$plusargs("firmware=%s", firmware)) $readmemh(firmware, ram);
    if ($value$plusargs("image=%s", image)) $readmemh(image, flash);
  end

  always @(posedge clk)
    if (!resetn)
      kept <= 0;
    else if (halted && !kept) begin
      kept <= 1;
      if ($value$plusargs("result=%s", result)) $writememh(result, memory.words);
    end
endmodule
