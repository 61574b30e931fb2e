// The release's LiteX example as a system to simulate, with the ports of system.v: fills its ROM with the firmware
// (+firmware=FILE) and its flash with the image (+image=FILE), and writes its main memory to +result=FILE in the end.
// The firmware ends with the character 4 and the exit code on the console.

module system (
  input  wire        clk,
  input  wire        resetn,
  output reg         console_valid,
  output reg  [7:0]  console_data,
  output reg         halted,
  output reg  [31:0] exit_code,
  output wire        trap,
  output wire        broken        // nobody answered on the bus
);
  localparam [7:0] END_OF_TRANSMISSION = 4;
  wire       valid;
  wire [7:0] data;
  reg        ending;

  adagp_soc soc (
    .clk(clk), .rst(!resetn), .trap(trap), .bus_error(broken),
    .serial_source_valid(valid), .serial_source_ready(1'b1), .serial_source_data(data),
    .serial_sink_valid(1'b0), .serial_sink_ready(), .serial_sink_data(8'd0)
  );

  reg [8*512-1:0] firmware, image, result;
  reg kept;

  initial begin
    if ($value$plusargs("firmware=%s", firmware)) $readmemh(firmware, soc.rom);
    if ($value$plusargs("image=%s", image)) $readmemh(image, soc.flash);
  end

  always @(posedge clk) begin
    console_valid <= resetn && valid && !ending && data != END_OF_TRANSMISSION;
    console_data <= data;
    if (!resetn) begin
      ending <= 0;
      halted <= 0;
      kept <= 0;
    end else begin
      if (valid && data == END_OF_TRANSMISSION)
        ending <= 1;
      if (valid && ending && !halted) begin
        halted <= 1;
        exit_code <= {24'd0, data};
      end
      if (halted && !kept) begin
        kept <= 1;
        if ($value$plusargs("result=%s", result)) $writememh(result, soc.main_ram);
      end
    end
  end
endmodule
