// adagp_hdl.memory.selection.OneOf of four in the multiplexers that join the LUT4 of an ECP5: 2 LUT4 per bit.
module one_of_four(index, values__0, values__1, values__2, values__3, o);
  input [1:0] index;
  input [31:0] values__0, values__1, values__2, values__3;
  output [31:0] o;
  genvar bit;
  for (bit = 0; bit < 32; bit = bit + 1) begin : bits
    wire [1:0] pair;
    LUT4 #(.INIT(16'hCACA)) pair0 (.A(values__0[bit]), .B(values__1[bit]), .C(index[0]), .D(1'b0), .Z(pair[0]));
    LUT4 #(.INIT(16'hCACA)) pair1 (.A(values__2[bit]), .B(values__3[bit]), .C(index[0]), .D(1'b0), .Z(pair[1]));
    PFUMX quad (.BLUT(pair[0]), .ALUT(pair[1]), .C0(index[1]), .Z(o[bit]));
  end
endmodule
