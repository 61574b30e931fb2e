// Runs the test image on the accelerator: writes registers as image/run.hex says, waits for the
// interrupt, and compares all of external memory with image/expected.hex. Prints PASS or FAIL with
// the reason; the exit status says the same. Verilog 2005, for Icarus Verilog and Verilator 5.
//
// Also an example of how the accelerator is wired: one clock, AXI4-Lite for its registers, AXI4 for
// its memory, one interrupt.

`include "configuration.vh"
`include "image.vh"

// The exit status of a failure: each simulator has its own way.
`ifdef __ICARUS__
`define ADAGP_FAILED $finish_and_return(1)
`else
`define ADAGP_FAILED $fatal
`endif

module bench #(
  parameter IMAGE = "image/image.hex",
  parameter EXPECTED = "image/expected.hex",
  parameter RUN = "image/run.hex"
);
  localparam DATA_BITS = `ADAGP_DATA_BITS;
  localparam WORDS = `ADAGP_IMAGE_WORDS;
  localparam COMMANDS = `ADAGP_IMAGE_COMMANDS;
  localparam [31:0] WRITE = 1, IDENTIFY = 2, AWAIT = 3, CHECK = 4;
  localparam ACCESS_CYCLES = 1000;  // a register that takes longer never answers

  reg aclk = 0, aresetn = 0;
  always #5 aclk = !aclk;

  // AXI4-Lite, driven by the tasks below
  reg  [11:0] awaddr = 0, araddr = 0;
  reg  [31:0] wdata = 0;
  reg         awvalid = 0, wvalid = 0, bready = 0, arvalid = 0, rready = 0;
  wire [31:0] rdata;
  wire [1:0]  bresp, rresp;
  wire        awready, wready, bvalid, arready, rvalid, irq;

  // AXI4, from the accelerator to the memory
  wire [31:0]            m_araddr, m_awaddr;
  wire [7:0]             m_arlen, m_awlen;
  wire [2:0]             m_arsize, m_awsize;
  wire [1:0]             m_arburst, m_awburst, m_rresp, m_bresp;
  wire [DATA_BITS-1:0]   m_rdata, m_wdata;
  wire [DATA_BITS/8-1:0] m_wstrb;
  wire m_arid, m_arvalid, m_arready, m_rid, m_rlast, m_rvalid, m_rready;
  wire m_awid, m_awvalid, m_awready, m_wlast, m_wvalid, m_wready, m_bid, m_bvalid, m_bready;
  wire broken;

  adagp accelerator (
    .aclk(aclk), .aresetn(aresetn), .irq(irq),
    .s_axil_awaddr(awaddr), .s_axil_awprot(3'b000), .s_axil_awvalid(awvalid), .s_axil_awready(awready),
    .s_axil_wdata(wdata), .s_axil_wstrb(4'b1111), .s_axil_wvalid(wvalid), .s_axil_wready(wready),
    .s_axil_bresp(bresp), .s_axil_bvalid(bvalid), .s_axil_bready(bready),
    .s_axil_araddr(araddr), .s_axil_arprot(3'b000), .s_axil_arvalid(arvalid), .s_axil_arready(arready),
    .s_axil_rdata(rdata), .s_axil_rresp(rresp), .s_axil_rvalid(rvalid), .s_axil_rready(rready),
    .m_axi_arid(m_arid), .m_axi_araddr(m_araddr), .m_axi_arlen(m_arlen), .m_axi_arsize(m_arsize),
    .m_axi_arburst(m_arburst), .m_axi_arlock(), .m_axi_arcache(), .m_axi_arprot(), .m_axi_arqos(),
    .m_axi_arvalid(m_arvalid), .m_axi_arready(m_arready),
    .m_axi_rid(m_rid), .m_axi_rdata(m_rdata), .m_axi_rresp(m_rresp), .m_axi_rlast(m_rlast),
    .m_axi_rvalid(m_rvalid), .m_axi_rready(m_rready),
    .m_axi_awid(m_awid), .m_axi_awaddr(m_awaddr), .m_axi_awlen(m_awlen), .m_axi_awsize(m_awsize),
    .m_axi_awburst(m_awburst), .m_axi_awlock(), .m_axi_awcache(), .m_axi_awprot(), .m_axi_awqos(),
    .m_axi_awvalid(m_awvalid), .m_axi_awready(m_awready),
    .m_axi_wdata(m_wdata), .m_axi_wstrb(m_wstrb), .m_axi_wlast(m_wlast), .m_axi_wvalid(m_wvalid),
    .m_axi_wready(m_wready),
    .m_axi_bid(m_bid), .m_axi_bresp(m_bresp), .m_axi_bvalid(m_bvalid), .m_axi_bready(m_bready)
  );

  bench_memory #(.DATA_BITS(DATA_BITS), .WORDS(WORDS)) memory (
    .aclk(aclk), .aresetn(aresetn), .broken(broken),
    .arid(m_arid), .araddr(m_araddr), .arlen(m_arlen), .arsize(m_arsize), .arburst(m_arburst),
    .arvalid(m_arvalid), .arready(m_arready),
    .rid(m_rid), .rdata(m_rdata), .rresp(m_rresp), .rlast(m_rlast), .rvalid(m_rvalid), .rready(m_rready),
    .awid(m_awid), .awaddr(m_awaddr), .awlen(m_awlen), .awsize(m_awsize), .awburst(m_awburst),
    .awvalid(m_awvalid), .awready(m_awready),
    .wdata(m_wdata), .wstrb(m_wstrb), .wlast(m_wlast), .wvalid(m_wvalid), .wready(m_wready),
    .bid(m_bid), .bresp(m_bresp), .bvalid(m_bvalid), .bready(m_bready)
  );

  // One outcome: the first FAIL ends the simulation.
  reg over = 0;

  task fail;
    begin
      over = 1;
      `ADAGP_FAILED;
    end
  endtask

  integer patience;

  // The bench looks at signals before a rising edge and drives them after a falling one, so that no
  // simulator's order of events matters. Waits until just before the next rising edge, at most `limit`
  // times since `patience` was 0.
  task before_edge(input integer limit);
    begin
      #2;
      patience = patience + 1;
      if (patience > limit && !over) begin
        $display("FAIL: no answer after %0d cycles", limit);
        fail;
      end
    end
  endtask

  task write_register(input [31:0] address, input [31:0] value);
    reg address_taken, value_taken, response;
    begin
      patience = 0;
      awaddr = address[11:0]; wdata = value;
      awvalid = 1; wvalid = 1; bready = 1;
      address_taken = 0; value_taken = 0; response = 0;
      while (!response && !over) begin
        before_edge(ACCESS_CYCLES);
        if (awvalid && awready) address_taken = 1;
        if (wvalid && wready) value_taken = 1;
        response = bvalid && bready;
        if (response && bresp != 0) begin
          $display("FAIL: writing %h to register %h is refused with response %0d", value, address[11:0], bresp);
          fail;
        end
        @(negedge aclk);
        awvalid = !address_taken; wvalid = !value_taken; bready = !response;
      end
    end
  endtask

  reg [31:0] answer;

  task read_register(input [31:0] address);
    reg address_taken, response;
    begin
      patience = 0;
      araddr = address[11:0];
      arvalid = 1; rready = 1;
      address_taken = 0; response = 0;
      while (!response && !over) begin
        before_edge(ACCESS_CYCLES);
        if (arvalid && arready) address_taken = 1;
        response = rvalid && rready;
        if (response) answer = rdata;
        if (response && rresp != 0) begin
          $display("FAIL: reading register %h is refused with response %0d", address[11:0], rresp);
          fail;
        end
        @(negedge aclk);
        arvalid = !address_taken; rready = !response;
      end
    end
  endtask

  reg [31:0] expected [0:WORDS-1];
  reg [127:0] commands [0:COMMANDS-1];
  reg [31:0] action, address, value, mask;
  integer index, cycles, wrong;

  initial begin
    $readmemh(IMAGE, memory.words);
    $readmemh(EXPECTED, expected);
    $readmemh(RUN, commands);
    repeat (4) @(negedge aclk);
    aresetn = 1;
    @(negedge aclk);
    cycles = 0;
    for (index = 0; index < COMMANDS && !over; index = index + 1) begin
      {action, address, value, mask} = commands[index];
      case (action)
        WRITE:
          write_register(address, value);
        IDENTIFY, CHECK: begin
          read_register(address);
          if (!over && (answer & mask) !== value) begin
            if (action == IDENTIFY)
              $display("FAIL: the image is for another configuration: register %h reads %h, the image needs %h",
                       address[11:0], answer & mask, value);
            else
              $display("FAIL: register %h reads %h after the run, not %h", address[11:0], answer & mask, value);
            fail;
          end
        end
        AWAIT: begin
          patience = 0;
          while (irq !== 1'b1 && !over) begin
            before_edge(value);
            @(negedge aclk);
          end
          cycles = patience;
        end
        default: begin
          $display("FAIL: command %0d of %0s is none: action %h", index, RUN, action);
          fail;
        end
      endcase
    end
    wrong = 0;
    for (index = WORDS - 1; index >= 0; index = index - 1)
      if (memory.words[index] !== expected[index]) begin
        wrong = wrong + 1;
        address = 4 * index;
      end
    if (!over && wrong != 0) begin
      $display("FAIL: %0d words of memory differ, the first at %h: %h, not %h", wrong, address,
               memory.words[address / 4], expected[address / 4]);
      fail;
    end
    if (!over && broken) begin
      $display("FAIL: the rules of the bus were broken, see above");
      fail;
    end
    if (!over) begin
      $display("PASS: %0d words of memory as expected, %0d cycles", WORDS, cycles);
      $finish;
    end
  end
endmodule
