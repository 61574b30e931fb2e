// A bus master that copies memory, as a partner for the driver: one burst of LENGTH + 1 beats from
// SOURCE to TARGET per start, and on demand a breach of a rule of AXI.
//
// registers: 0x00 START, 0x04 SOURCE, 0x08 TARGET, 0x0C LENGTH, 0x10 BREACH, 0x14 BURSTS, 0x18 STATUS
//   (responses of the last copy: bits 1:0 of the read, 3:2 of the write). irq from the end of the
//   last burst until the next START.
// breaches: 1 ARADDR changes, 2 ARVALID drops, 3 AWADDR changes, 4 WDATA changes, 5 WLAST early,
//   6 WLAST missing, 7 narrow burst
module copier #(parameter BUS_BITS = 64) (
    input aclk, input aresetn, output irq,
    input [11:0] s_axil_awaddr, input [2:0] s_axil_awprot, input s_axil_awvalid, output s_axil_awready,
    input [31:0] s_axil_wdata, input [3:0] s_axil_wstrb, input s_axil_wvalid, output s_axil_wready,
    output [1:0] s_axil_bresp, output reg s_axil_bvalid, input s_axil_bready,
    input [11:0] s_axil_araddr, input [2:0] s_axil_arprot, input s_axil_arvalid, output s_axil_arready,
    output reg [31:0] s_axil_rdata, output [1:0] s_axil_rresp, output reg s_axil_rvalid, input s_axil_rready,
    output m_axi_arid, output [31:0] m_axi_araddr, output [7:0] m_axi_arlen, output [2:0] m_axi_arsize,
    output [1:0] m_axi_arburst, output m_axi_arvalid, input m_axi_arready,
    input m_axi_rid, input [BUS_BITS-1:0] m_axi_rdata, input [1:0] m_axi_rresp, input m_axi_rlast,
    input m_axi_rvalid, output m_axi_rready,
    output m_axi_awid, output [31:0] m_axi_awaddr, output [7:0] m_axi_awlen, output [2:0] m_axi_awsize,
    output [1:0] m_axi_awburst, output m_axi_awvalid, input m_axi_awready,
    output [BUS_BITS-1:0] m_axi_wdata, output [BUS_BITS/8-1:0] m_axi_wstrb, output m_axi_wlast,
    output m_axi_wvalid, input m_axi_wready,
    input m_axi_bid, input [1:0] m_axi_bresp, input m_axi_bvalid, output m_axi_bready);

  localparam [2:0] SIZE = $clog2(BUS_BITS / 8);
  reg [31:0] source, target, bursts, left;
  reg [7:0] length, arrived, sent;
  reg [2:0] breach;
  reg [3:0] status;
  reg reading, addressed, finished, aw_open, w_open;
  reg ar_wait, aw_wait, w_wait;
  reg [BUS_BITS-1:0] beats [0:255];

  assign s_axil_awready = s_axil_awvalid & s_axil_wvalid & (~s_axil_bvalid | s_axil_bready);
  assign s_axil_wready = s_axil_awready;
  assign s_axil_bresp = 0, s_axil_rresp = 0;
  assign s_axil_arready = ~s_axil_rvalid | s_axil_rready;

  assign m_axi_arid = left[0], m_axi_awid = left[0];
  assign m_axi_araddr = source ^ ((breach == 1 && ar_wait) ? 32'h40 : 32'h0);
  assign m_axi_arlen = length, m_axi_awlen = length;
  assign m_axi_arsize = breach == 7 ? SIZE - 3'd1 : SIZE, m_axi_awsize = SIZE;
  assign m_axi_arburst = 1, m_axi_awburst = 1;
  assign m_axi_arvalid = reading & ~addressed & ~(breach == 2 & ar_wait);
  assign m_axi_rready = 1, m_axi_bready = 1;
  assign m_axi_awaddr = target ^ ((breach == 3 && aw_wait) ? 32'h40 : 32'h0);
  assign m_axi_awvalid = aw_open;
  assign m_axi_wdata = beats[sent] ^ {{(BUS_BITS-1){1'b0}}, breach == 4 && w_wait};
  assign m_axi_wstrb = {(BUS_BITS/8){1'b1}};
  assign m_axi_wlast = breach == 5 ? sent == 0 : breach == 6 ? 1'b0 : sent == length;
  assign m_axi_wvalid = w_open;
  assign irq = finished;

  always @(posedge aclk) begin
    if (s_axil_bready) s_axil_bvalid <= 0;
    if (s_axil_rready) s_axil_rvalid <= 0;
    ar_wait <= m_axi_arvalid & ~m_axi_arready;
    aw_wait <= m_axi_awvalid & ~m_axi_awready;
    w_wait <= m_axi_wvalid & ~m_axi_wready;
    if (s_axil_awready) begin
      s_axil_bvalid <= 1;
      case (s_axil_awaddr)
        0: begin reading <= 1; addressed <= 0; arrived <= 0; finished <= 0; left <= bursts; status <= 0; end
        4: source <= s_axil_wdata;
        8: target <= s_axil_wdata;
        12: length <= s_axil_wdata[7:0];
        16: breach <= s_axil_wdata[2:0];
        20: bursts <= s_axil_wdata;
        default: ;
      endcase
    end
    if (s_axil_arvalid & s_axil_arready) begin
      s_axil_rvalid <= 1;
      case (s_axil_araddr)
        4: s_axil_rdata <= source;
        8: s_axil_rdata <= target;
        24: s_axil_rdata <= {28'b0, status};
        default: s_axil_rdata <= 32'hDEADBEEF;
      endcase
    end
    if (m_axi_arvalid & m_axi_arready) addressed <= 1;
    if (m_axi_rvalid) begin
      beats[arrived] <= m_axi_rdata;
      arrived <= arrived + 1;
      status[1:0] <= status[1:0] | m_axi_rresp;
      if (m_axi_rlast) begin
        reading <= 0; aw_open <= 1; w_open <= 1; sent <= 0;
      end
    end
    if (m_axi_awvalid & m_axi_awready) aw_open <= 0;
    if (m_axi_wvalid & m_axi_wready) begin
      sent <= sent + 1;
      if (sent == length) w_open <= 0;
    end
    if (m_axi_bvalid) begin
      status[3:2] <= status[3:2] | m_axi_bresp;
      source <= source + (length + 1) * (BUS_BITS / 8);
      target <= target + (length + 1) * (BUS_BITS / 8);
      left <= left - 1;
      if (left == 1) finished <= 1;
      else begin reading <= 1; addressed <= 0; arrived <= 0; end
    end
    if (!aresetn) begin
      {s_axil_bvalid, s_axil_rvalid, reading, addressed, finished, aw_open, w_open} <= 0;
      {ar_wait, aw_wait, w_wait, breach, status} <= 0;
      bursts <= 1;
    end
  end
endmodule
