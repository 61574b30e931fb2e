"""Activations move into the operations that they follow."""

from dataclasses import fields, replace

from .network import Add, MaxPool, Network
from .operation import INPUT, Operation


def fuse(network: Network) -> Network:
    """``network`` without the activations that can be fused: into what gives their input, if nobody
    else reads that, and past max pooling, with which they commute."""
    while (step := next(filter(None, (_fusion(network, operation) for operation in network.operations)), None)):
        activation, host = step
        source = activation.inputs[0]
        hosted = replace(host, activation=activation.activation)
        operations = [hosted if operation is host else _reading(operation, activation.name, source)
                      for operation in network.operations if operation is not activation]
        network = replace(network, operations=tuple(operations))
    return network


def _fusion(network: Network, operation: Operation) -> tuple[Operation, Operation] | None:
    """(an activation, the operation that it is fused into), if ``operation`` is such an activation."""
    if not isinstance(operation, Add) or len(operation.inputs) > 1 or operation.activation is None:
        return None
    source = operation.inputs[0]
    while source != INPUT and len(network.readers(source)) == 1:
        host = network[source]
        if not isinstance(host, MaxPool):
            fusable = "activation" in {field.name for field in fields(host)} and host.activation is None
            return (operation, host) if fusable else None
        source = host.inputs[0]
    return None


def _reading(operation: Operation, old: str, new: str) -> Operation:
    """``operation``, reading ``new`` where it read ``old``."""
    return replace(operation, inputs=tuple(new if source == old else source for source in operation.inputs))
