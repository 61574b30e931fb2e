// adagp_hdl.arithmetic.product.StalledProduct of float32's fractions in four multipliers of an ECP5, each of 18 by 18 bits:
// it has several times as many as a vector lane needs, and logic in their place costs 200 LUT4.
module stalled_product(clk, rst, en, left, right, product);
  input clk;
  input rst;
  input en;
  input [22:0] left;
  input [22:0] right;
  output [47:0] product;
  reg [23:0] left_taken = 0;
  reg [23:0] right_taken = 0;
  reg [47:0] outer = 0;   // high by high and low by low
  reg [24:0] inner = 0;
  wire [11:0] high = left_taken[23:18] * right_taken[23:18];
  wire [35:0] low = left_taken[17:0] * right_taken[17:0];
  wire [23:0] rising = left_taken[23:18] * right_taken[17:0];
  wire [23:0] falling = left_taken[17:0] * right_taken[23:18];
  always @(posedge clk) if (en) begin
    left_taken <= {1'b1, left};
    right_taken <= {1'b1, right};
    outer <= {high, low};
    inner <= rising + falling;
  end
  assign product = {outer[47:18] + inner, outer[17:0]};
endmodule
