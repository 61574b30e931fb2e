// adagp_hdl.memory.selection.OneOf of eight in the multiplexers that join the LUT4 of an ECP5: 4 LUT4 per bit.
module one_of_eight(index, values__0, values__1, values__2, values__3, values__4, values__5, values__6, values__7, o);
  input [2:0] index;
  input [31:0] values__0, values__1, values__2, values__3, values__4, values__5, values__6, values__7;
  output [31:0] o;
  genvar bit;
  for (bit = 0; bit < 32; bit = bit + 1) begin : bits
    wire [3:0] pair;
    wire [1:0] quad;
    LUT4 #(.INIT(16'hCACA)) pair0 (.A(values__0[bit]), .B(values__1[bit]), .C(index[0]), .D(1'b0), .Z(pair[0]));
    LUT4 #(.INIT(16'hCACA)) pair1 (.A(values__2[bit]), .B(values__3[bit]), .C(index[0]), .D(1'b0), .Z(pair[1]));
    LUT4 #(.INIT(16'hCACA)) pair2 (.A(values__4[bit]), .B(values__5[bit]), .C(index[0]), .D(1'b0), .Z(pair[2]));
    LUT4 #(.INIT(16'hCACA)) pair3 (.A(values__6[bit]), .B(values__7[bit]), .C(index[0]), .D(1'b0), .Z(pair[3]));
    PFUMX quad0 (.BLUT(pair[0]), .ALUT(pair[1]), .C0(index[1]), .Z(quad[0]));
    PFUMX quad1 (.BLUT(pair[2]), .ALUT(pair[3]), .C0(index[1]), .Z(quad[1]));
    L6MUX21 all (.D0(quad[0]), .D1(quad[1]), .SD(index[2]), .Z(o[bit]));
  end
endmodule
