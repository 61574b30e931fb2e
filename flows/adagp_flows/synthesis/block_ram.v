// The block RAM of xc7 (UG473) and of ECP5 (FPGA-TN-02204), of which Yosys has the ports but no
// behaviour. Two ports, each of which reads and writes in a width of its own, on one memory of
// 128 * HALF bytes with a ninth bit each. Addresses count bits. A width beyond that of a port's own
// pins takes the pins of both.
//
// What the manuals leave undefined is made wrong: who reads what the other port writes in the same
// cycle, unless that port is READ_FIRST, gets the complement.
module block_ram #(
    parameter HALF = 32,  // data pins of a port: 32 or 16
    parameter READ_WIDTH_A = 0,
    parameter READ_WIDTH_B = 0,
    parameter WRITE_WIDTH_A = 0,
    parameter WRITE_WIDTH_B = 0,
    parameter [95:0] WRITE_MODE_A = "WRITE_FIRST",
    parameter [95:0] WRITE_MODE_B = "WRITE_FIRST",
    parameter [71:0] START_A = 0,  // what is read at first: parity, data
    parameter [71:0] START_B = 0,
    parameter [71:0] RESET_A = 0,  // and after a reset
    parameter [71:0] RESET_B = 0,
    parameter [1024*HALF-1:0] DATA = 0,  // of all bytes at first
    parameter [128*HALF-1:0] PARITY = 0
) (
    input [1:0] clock, enable, reset,
    input [13+HALF/32:0] address_a, address_b,
    input [HALF-1:0] write_a, write_b,
    input [HALF/8-1:0] write_parity_a, write_parity_b,
    input [HALF/4-1:0] strobe_a, strobe_b,  // a bit per byte
    output [HALF-1:0] read_a, read_b,
    output [HALF/8-1:0] read_parity_a, read_parity_b
);
    localparam BYTES = 128 * HALF;
    localparam BITS = 11 + HALF / 32;  // of the number of a byte
    localparam PINS = HALF / 8;        // bytes of a port's own pins

    reg [8:0] memory [0:BYTES-1];
    initial for (integer n = 0; n < BYTES; n = n + 1) memory[n] = {PARITY[n], DATA[8*n +: 8]};

    genvar p, i;
    generate for (p = 0; p < 2; p = p + 1) begin : port
        localparam READ = p ? READ_WIDTH_B : READ_WIDTH_A;
        localparam WRITE = p ? WRITE_WIDTH_B : WRITE_WIDTH_A;
        localparam [95:0] MODE = p ? WRITE_MODE_B : WRITE_MODE_A;
        localparam [71:0] START = p ? START_B : START_A;
        localparam [71:0] RESET = p ? RESET_B : RESET_A;
        localparam READS = READ < 9 ? 1 : READ / 9;  // bytes
        localparam WRITES = WRITE < 9 ? 1 : WRITE / 9;
        localparam OTHER = p ? WRITE_WIDTH_A : WRITE_WIDTH_B;
        localparam OTHERS = OTHER < 9 ? 1 : OTHER / 9;
        localparam [95:0] OTHER_MODE = p ? WRITE_MODE_A : WRITE_MODE_B;

        wire [BITS-1:0] byte_number = p ? address_b[BITS+2:3] : address_a[BITS+2:3];
        wire [2:0] bit_number = p ? address_b[2:0] : address_a[2:0];
        wire [BITS-1:0] from = byte_number & ~(READS - 1);
        wire [BITS-1:0] to = byte_number & ~(WRITES - 1);
        wire [2*PINS-1:0] strobe = WRITE == 0 || !enable[p] ? 0 : p ? strobe_b : strobe_a;

        // What a write leaves in each byte.
        wire [2*HALF-1:0] data = WRITES > PINS ? {write_b, write_a} : p ? write_b : write_a;
        wire [2*PINS-1:0] parity = WRITES > PINS ? {write_parity_b, write_parity_a}
                                                 : p ? write_parity_b : write_parity_a;
        wire [8:0] written [0:WRITES-1];
        if (WRITE < 9) begin
            wire [2:0] at = bit_number & ~(WRITE - 1);
            wire [8:0] changed = ((9'd1 << WRITE) - 9'd1) << at;
            assign written[0] = memory[to] & ~changed | data << at & changed;
        end else for (i = 0; i < WRITES; i = i + 1) assign written[i] = {parity[i], data[8*i +: 8]};

        always @(posedge clock[p]) for (integer n = 0; n < WRITES; n = n + 1)
            if (strobe[n]) memory[to + n] <= written[n];

        reg [8:0] read [0:READS-1];
        reg [2:0] shift = 0;
        initial for (integer n = 0; n < READS; n = n + 1) read[n] = {START[8*READS+n], START[8*n +: 8]};
        if (READ != 0) always @(posedge clock[p]) if (enable[p]) begin
            if (reset[p]) begin
                for (integer n = 0; n < READS; n = n + 1) read[n] <= {RESET[8*READS+n], RESET[8*n +: 8]};
                shift <= 0;
            end else if (MODE != "NO_CHANGE" || !strobe[WRITES-1:0]) begin
                for (integer n = 0; n < READS; n = n + 1) begin : bytes
                    integer own, other;
                    own = from + n - to;
                    other = from + n - port[1-p].to;
                    if (MODE == "WRITE_FIRST" && own >= 0 && own < WRITES && strobe[own])
                        read[n] <= written[own];
                    else if (OTHER_MODE != "READ_FIRST" && other >= 0 && other < OTHERS
                             && port[1-p].strobe[other])
                        read[n] <= ~memory[from + n];
                    else
                        read[n] <= memory[from + n];
                end
                shift <= READ < 9 ? bit_number & ~(READ - 1) : 0;
            end
        end

        wire [2*HALF-1:0] out;
        wire [2*PINS-1:0] out_parity;
        for (i = 0; i < 2 * PINS; i = i + 1) begin : pins
            assign out[8*i +: 8] = i < READS ? read[i < READS ? i : 0] >> shift : 0;
            assign out_parity[i] = i < READS ? read[i < READS ? i : 0][8] : 0;
        end
    end endgenerate

    localparam BOTH_A = READ_WIDTH_A > 9 * PINS;
    localparam BOTH_B = READ_WIDTH_B > 9 * PINS;
    assign read_a = BOTH_B ? port[1].out[HALF-1:0] : port[0].out[HALF-1:0];
    assign read_b = BOTH_A ? port[0].out[HALF +: HALF] : BOTH_B ? port[1].out[HALF +: HALF] : port[1].out[HALF-1:0];
    assign read_parity_a = BOTH_B ? port[1].out_parity[PINS-1:0] : port[0].out_parity[PINS-1:0];
    assign read_parity_b = BOTH_A ? port[0].out_parity[PINS +: PINS]
                         : BOTH_B ? port[1].out_parity[PINS +: PINS] : port[1].out_parity[PINS-1:0];
endmodule
