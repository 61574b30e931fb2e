// adagp_hdl.arithmetic.product.RegisteredProduct in an ECP5's multiplier with that block's own registers, for which
// neither Yosys nor nextpnr looks. nextpnr does not time the way between them: it is part of that from A to P of
// a multiplier without registers, 3.9 ns with speed grade 6.
module registered_product(clk, rst, left, right, take, left_taken, product);
  input clk;
  input rst;
  input [6:0] left;
  input [6:0] right;
  input take;
  output reg [6:0] left_taken = 0;
  output reg [15:0] product = 0;
  wire [15:0] multiplied;
  always @(posedge clk) left_taken <= left;  // the block's own register has no output
  always @(posedge clk) product <= multiplied;  // the way from a block to logic may be long
  // A pin that is left open is 1, and the four multipliers of a block share CE and RST: each has to be driven.
  MULT18X18D #(
    .REG_INPUTA_CLK("CLK0"), .REG_INPUTA_CE("CE0"), .REG_INPUTA_RST("RST0"),
    .REG_INPUTB_CLK("CLK0"), .REG_INPUTB_CE("CE1"), .REG_INPUTB_RST("RST0"),
    .REG_OUTPUT_CLK("CLK0"), .REG_OUTPUT_CE("CE0"), .REG_OUTPUT_RST("RST0")
  ) block (
    .CLK0(clk), .CE0(1'b1), .CE1(take), .RST0(1'b0),
    .SIGNEDA(1'b0), .SIGNEDB(1'b0), .SOURCEA(1'b0), .SOURCEB(1'b0),
    .A17(1'b0), .A16(1'b0), .A15(1'b0), .A14(1'b0), .A13(1'b0), .A12(1'b0), .A11(1'b0), .A10(1'b0), .A9(1'b0), .A8(1'b0), .A7(1'b1),
    .A6(left[6]), .A5(left[5]), .A4(left[4]), .A3(left[3]), .A2(left[2]), .A1(left[1]), .A0(left[0]),
    .B17(1'b0), .B16(1'b0), .B15(1'b0), .B14(1'b0), .B13(1'b0), .B12(1'b0), .B11(1'b0), .B10(1'b0), .B9(1'b0), .B8(1'b0), .B7(1'b1),
    .B6(right[6]), .B5(right[5]), .B4(right[4]), .B3(right[3]), .B2(right[2]), .B1(right[1]), .B0(right[0]),
    .C17(1'b0), .C16(1'b0), .C15(1'b0), .C14(1'b0), .C13(1'b0), .C12(1'b0), .C11(1'b0), .C10(1'b0), .C9(1'b0), .C8(1'b0), .C7(1'b0),
    .C6(1'b0), .C5(1'b0), .C4(1'b0), .C3(1'b0), .C2(1'b0), .C1(1'b0), .C0(1'b0),
    .P15(multiplied[15]), .P14(multiplied[14]), .P13(multiplied[13]), .P12(multiplied[12]), .P11(multiplied[11]), .P10(multiplied[10]),
    .P9(multiplied[9]), .P8(multiplied[8]), .P7(multiplied[7]), .P6(multiplied[6]), .P5(multiplied[5]), .P4(multiplied[4]), .P3(multiplied[3]),
    .P2(multiplied[2]), .P1(multiplied[1]), .P0(multiplied[0])
  );
endmodule
