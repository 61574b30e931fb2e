// Joins two AXI4 managers to one subordinate.
//
// Vectors have manager 0 in their low half, manager 1, which goes first, in the high one. AR and AW are
// packed as they come. The subordinate answers reads in the order of their requests. Reads of both
// managers may be in flight; writes go one burst at a time. R and B payloads go to both managers as they
// are: valid tells whose they are.

module arbiter #(
  parameter REQUEST_BITS = 46,
  parameter DATA_BITS = 72,    // of W: data, strobe
  parameter READS_LOG2 = 5     // of the reads in flight
) (
  input  wire                      clk,
  input  wire                      resetn,

  input  wire [2*REQUEST_BITS-1:0] ar,
  input  wire [1:0]                arvalid,
  output wire [1:0]                arready,
  output wire [1:0]                rvalid,
  input  wire [1:0]                rready,
  input  wire [2*REQUEST_BITS-1:0] aw,
  input  wire [1:0]                awvalid,
  output wire [1:0]                awready,
  input  wire [2*DATA_BITS-1:0]    w,
  input  wire [1:0]                wlast,
  input  wire [1:0]                wvalid,
  output wire [1:0]                wready,
  output wire [1:0]                bvalid,
  input  wire [1:0]                bready,

  output wire [REQUEST_BITS-1:0]   memory_ar,
  output wire                      memory_arvalid,
  input  wire                      memory_arready,
  input  wire                      memory_rlast,
  input  wire                      memory_rvalid,
  output wire                      memory_rready,
  output wire [REQUEST_BITS-1:0]   memory_aw,
  output wire                      memory_awvalid,
  input  wire                      memory_awready,
  output wire [DATA_BITS-1:0]      memory_w,
  output wire                      memory_wlast,
  output wire                      memory_wvalid,
  input  wire                      memory_wready,
  input  wire                      memory_bvalid,
  output wire                      memory_bready
);
  // Reads. A request that waits is not replaced by another.
  reg  [(1<<READS_LOG2)-1:0] readers;              // whose are the reads in flight, a ring
  reg  [READS_LOG2:0]        requested, answered;  // modulo twice its size
  reg                        waiting, waiting_reader;
  wire [READS_LOG2:0] in_flight = requested - answered;
  wire       full = in_flight[READS_LOG2];
  wire       requester = waiting ? waiting_reader : arvalid[1];
  wire       reader = readers[answered[READS_LOG2-1:0]];

  assign memory_ar = ar[REQUEST_BITS * requester +: REQUEST_BITS];
  assign memory_arvalid = arvalid[requester] && !full;
  assign arready = {1'b0, memory_arready && !full} << requester;
  assign rvalid = {1'b0, memory_rvalid} << reader;
  assign memory_rready = rready[reader];

  always @(posedge clk)
    if (!resetn) begin
      requested <= 0; answered <= 0; waiting <= 0; readers <= 0;
    end else begin
      waiting <= memory_arvalid && !memory_arready;
      waiting_reader <= requester;
      if (memory_arvalid && memory_arready) begin
        readers[requested[READS_LOG2-1:0]] <= requester;
        requested <= requested + 1;
      end
      if (memory_rvalid && memory_rready && memory_rlast)
        answered <= answered + 1;
    end

  // Writes: a manager has the subordinate from its request to the response.
  reg writing, writer, address_taken, data_taken;

  assign memory_aw = aw[REQUEST_BITS * writer +: REQUEST_BITS];
  assign memory_awvalid = writing && !address_taken && awvalid[writer];
  assign awready = {1'b0, writing && !address_taken && memory_awready} << writer;
  assign memory_w = w[DATA_BITS * writer +: DATA_BITS];
  assign memory_wlast = wlast[writer];
  assign memory_wvalid = writing && !data_taken && wvalid[writer];
  assign wready = {1'b0, writing && !data_taken && memory_wready} << writer;
  assign bvalid = {1'b0, memory_bvalid} << writer;
  assign memory_bready = writing && bready[writer];

  always @(posedge clk)
    if (!resetn) begin
      writing <= 0; writer <= 0;
    end else if (!writing) begin
      writing <= awvalid != 0;
      writer <= awvalid[1];
      address_taken <= 0;
      data_taken <= 0;
    end else begin
      if (memory_awvalid && memory_awready) address_taken <= 1;
      if (memory_wvalid && memory_wready && memory_wlast) data_taken <= 1;
      if (memory_bvalid && memory_bready) writing <= 0;
    end
endmodule
