"""What the compiler says about its instructions."""

from adagp.compiler import compile_training
from adagp.spec.config import AcceleratorConfig, Design
from adagp.spec.isa import INSTRUCTION_BYTES, Array, Pass, decode
from adagp.spec.schedule import Phase
from adagp_tb.random_networks import random_network


def test_purposes_agree_with_the_passes_of_array_instructions():
    network = random_network(3, plain=True)
    config = AcceleratorConfig(rows=5, columns=6, design=Design.LOW, stream_elements=16384,
                               stationary_elements=16384, vector_words=1024)
    training = compile_training(network.model, config, batch=network.batch, input_shape=network.input_shape,
                                predictor=network.predictor)
    works = {Pass.FORWARD: {"forward"}, Pass.INPUT_GRADIENT: {"input gradient"},
             Pass.WEIGHT_GRADIENT: {"weight gradient"}, Pass.PREDICTOR: {"predict", "train predictor"}}
    layers = [layer.name for layer in training.layers]
    for phase, program in training.programs.items():
        instructions = [decode(program[place:place + INSTRUCTION_BYTES])
                        for place in range(0, len(program), INSTRUCTION_BYTES)]
        purposes = training.purposes[phase]
        assert len(purposes) == len(instructions) - 1
        for instruction, purpose in zip(instructions, purposes):
            assert purpose.layer in [*layers, "cross entropy", "predictor"] and purpose.work
            if isinstance(instruction, Array):
                assert purpose.work in works[instruction.tag]
                assert layers[instruction.layer] == purpose.layer, "counted for another layer"
        updated = {purpose.layer for purpose in purposes if purpose.work == "update"}
        assert updated == (set() if phase is Phase.EVALUATE else {layer.name for layer in training.convolutions})
