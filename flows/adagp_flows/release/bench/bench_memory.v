// External memory behind the AXI4 manager of the accelerator, with the rules that it may rely on.
//
// Reads are answered in order, each at least LATENCY cycles after its request, several of them in
// flight; one write at a time. Every channel pauses in about a quarter of the cycles. An address
// outside the memory is answered with DECERR. A breach of the bus rules sets `broken` for good.

module bench_memory #(
  parameter DATA_BITS = 64,   // of the bus: 64, 128, 256 or 512
  parameter WORDS = 1024,     // of 32 bits, from address 0
  parameter LATENCY = 30
) (
  input  wire                   aclk,
  input  wire                   aresetn,
  input  wire                   arid,
  input  wire [31:0]            araddr,
  input  wire [7:0]             arlen,
  input  wire [2:0]             arsize,
  input  wire [1:0]             arburst,
  input  wire                   arvalid,
  output wire                   arready,
  output reg                    rid,
  output reg  [DATA_BITS-1:0]   rdata,
  output reg  [1:0]             rresp,
  output reg                    rlast,
  output reg                    rvalid,
  input  wire                   rready,
  input  wire                   awid,
  input  wire [31:0]            awaddr,
  input  wire [7:0]             awlen,
  input  wire [2:0]             awsize,
  input  wire [1:0]             awburst,
  input  wire                   awvalid,
  output wire                   awready,
  input  wire [DATA_BITS-1:0]   wdata,
  input  wire [DATA_BITS/8-1:0] wstrb,
  input  wire                   wlast,
  input  wire                   wvalid,
  output wire                   wready,
  output reg                    bid,
  output reg  [1:0]             bresp,
  output reg                    bvalid,
  input  wire                   bready,
  output reg                    broken
);
  localparam BYTES = DATA_BITS / 8;
  localparam LANES = DATA_BITS / 32;
  localparam [2:0] SIZE = DATA_BITS == 64 ? 3'd3 : DATA_BITS == 128 ? 3'd4 : DATA_BITS == 256 ? 3'd5 : 3'd6;
  localparam [1:0] INCR = 2'b01, OKAY = 2'b00, DECERR = 2'b11;
  localparam DEPTH = 16;      // reads in flight

  reg [31:0] words [0:WORDS-1];

  // Pauses: bits of a shift register of maximal length.
  reg [30:0] noise;
  wire pause_ar = noise[1:0] == 0, pause_r = noise[4:3] == 0, pause_aw = noise[7:6] == 0, pause_w = noise[11:10] == 0;

  // Reads
  reg        queue_id [0:DEPTH-1];
  reg [31:0] queue_address [0:DEPTH-1];
  reg [7:0]  queue_length [0:DEPTH-1];
  reg [31:0] queue_time [0:DEPTH-1];
  reg [4:0]  queued, taken;   // modulo twice the depth
  reg [31:0] now;
  reg [7:0]  beat;
  wire [4:0]  waiting = queued - taken;
  wire [3:0]  head = taken[3:0];
  wire [31:0] read_address = (queue_address[head] & ~(BYTES - 1)) + {24'd0, beat} * BYTES;
  wire        read_there = read_address / 4 + LANES <= WORDS;
  assign arready = waiting < DEPTH && !pause_ar;

  // Writes
  reg        writing;
  reg [31:0] write_address;
  reg [7:0]  write_left;
  wire       write_there = write_address / 4 + LANES <= WORDS;
  assign awready = !writing && !bvalid && !pause_aw;
  assign wready = writing && !pause_w;

  function crosses(input [31:0] address, input [7:0] length);
    reg [31:0] last;
    begin
      last = (address & ~(BYTES - 1)) + {24'd0, length} * BYTES;
      crosses = address[31:12] != last[31:12];
    end
  endfunction

  integer lane, byte_lane;

  always @(posedge aclk) begin
    noise <= {noise[29:0], noise[30] ^ noise[27]};
    now <= now + 1;
    if (!aresetn) begin
      noise <= 31'h2ADA6B00;
      now <= 0; queued <= 0; taken <= 0; beat <= 0;
      rvalid <= 0; bvalid <= 0; writing <= 0; broken <= 0;
    end else begin
      if (arvalid && arready) begin
        queue_id[queued[3:0]] <= arid;
        queue_address[queued[3:0]] <= araddr;
        queue_length[queued[3:0]] <= arlen;
        queue_time[queued[3:0]] <= now + LATENCY;
        queued <= queued + 1;
        if (arsize != SIZE || arburst != INCR || crosses(araddr, arlen)) begin
          $display("bus: read of %0d beats at %h, size %0d, burst %0d", arlen + 1, araddr, arsize, arburst);
          broken <= 1;
        end
      end
      if (rvalid && rready)
        rvalid <= 0;
      if ((!rvalid || rready) && waiting != 0 && now >= queue_time[head] && !pause_r) begin
        rvalid <= 1;
        rid <= queue_id[head];
        rresp <= read_there ? OKAY : DECERR;
        rlast <= beat == queue_length[head];
        for (lane = 0; lane < LANES; lane = lane + 1)
          rdata[32 * lane +: 32] <= read_there ? words[read_address / 4 + lane] : 32'd0;
        beat <= beat + 1;
        if (beat == queue_length[head]) begin
          beat <= 0;
          taken <= taken + 1;
        end
      end

      if (awvalid && awready) begin
        writing <= 1;
        write_address <= awaddr & ~(BYTES - 1);
        write_left <= awlen;
        bid <= awid;
        bresp <= OKAY;
        if (awsize != SIZE || awburst != INCR || crosses(awaddr, awlen)) begin
          $display("bus: write of %0d beats at %h, size %0d, burst %0d", awlen + 1, awaddr, awsize, awburst);
          broken <= 1;
        end
      end
      if (wvalid && wready) begin
        if (!write_there)
          bresp <= DECERR;
        else
          for (byte_lane = 0; byte_lane < BYTES; byte_lane = byte_lane + 1)
            if (wstrb[byte_lane])
              words[write_address / 4 + byte_lane / 4][8 * (byte_lane % 4) +: 8] <= wdata[8 * byte_lane +: 8];
        write_address <= write_address + BYTES;
        write_left <= write_left - 1;
        if (wlast) begin
          writing <= 0;
          bvalid <= 1;
        end
        if (wlast != (write_left == 0)) begin
          $display("bus: wlast is %b with %0d beats to come", wlast, write_left);
          broken <= 1;
        end
      end
      if (bvalid && bready)
        bvalid <= 0;
    end
  end
endmodule
