"""Where the tensors of a network lie, and which of them an operation works on."""

from adagp.spec.isa import Format

from .gradients import GradientFlow
from .network import Network, activation_of
from .operation import INPUT, Operation, Target, Work
from .optimizer import SGD
from .tensors import Base, Layout, Tensor


class Placement:
    """All tensors of ``network`` for ``batch`` images, behind the STATE base register; ``input`` and
    ``labels`` behind those that advance with the batch.

    Names are ``{operation}.{parameter}`` (with ``.momentum`` behind it), ``{operation}.{buffer}``,
    ``{operation}.{saved}``, ``{operation}.output``, ``{operation}.output.grad`` and ``loss``.
    """

    def __init__(self, network: Network, batch: int, optimizer: SGD):
        self.network, self.batch, self.optimizer = network, batch, optimizer
        self.layout = Layout()
        for operation in network.operations:
            for name, shape in operation.parameters.items():
                self.layout.place(f"{operation.name}.{name}", shape, Format.FLOAT32)
                self.layout.place(f"{operation.name}.{name}.momentum", shape, Format.FLOAT32)
            for name, shape in operation.buffers.items():
                self.layout.place(f"{operation.name}.{name}", shape, Format.FLOAT32)
        precise = any(reader.input_format is Format.FLOAT32 for reader in network.readers(INPUT))
        self.input = Tensor(name=INPUT, shape=(batch, *network.sample), base=Base.DATA, offset=0,
                            format=Format.FLOAT32 if precise else Format.OPERAND)
        self.labels = Tensor(name="labels", shape=(batch,), format=Format.FLOAT32, base=Base.LABELS, offset=0)

    def place_activations(self) -> None:
        flow, last = GradientFlow(self.network), self.network.operations[-1]
        self._outputs, self._gradients, self._shares = {INPUT: self.input}, {}, flow.shares
        for operation in self.network.operations:
            shape = (self.batch, *operation.output)
            form = Format.FLOAT32 if operation is last else Format.OPERAND
            self._outputs[operation.name] = self.layout.place(f"{operation.name}.output", shape, form)
            for name, (saved, form) in operation.saved(self.batch).items():
                self.layout.place(f"{operation.name}.{name}", saved, form)
        for operation in reversed(self.network.operations):
            if owner := flow.owners.get(operation.name):
                name, shape = f"{operation.name}.output.grad", (self.batch, *operation.output)
                self._gradients[operation.name] = (
                    self.layout.place(name, shape, Format.OPERAND) if owner == operation.name
                    else self.layout.share(name, self._gradients[owner].view(*shape)))
        self.loss = self.layout.place("loss", (self.batch,), Format.FLOAT32)

    @property
    def logits(self) -> Tensor:
        """(images, classes)"""
        last = self.network.operations[-1]
        return self._outputs[last.name].view(self.batch, last.output[2])

    @property
    def logits_gradient(self) -> Tensor:
        last = self.network.operations[-1]
        return self._gradients[last.name].view(self.batch, last.output[2])

    def forward_work(self, operation: Operation, *, training: bool, **options) -> Work:
        return Work(inputs=tuple(self._read(self._outputs[name], shape)
                                 for name, shape in zip(operation.inputs, operation.input_shapes)),
                    output=self._outputs[operation.name], parameters=self._named(operation, operation.parameters),
                    buffers=self._named(operation, operation.buffers),
                    saved=self._named(operation, operation.saved(self.batch)), training=training, **options)

    def backward_work(self, operation: Operation, **options) -> Work:
        return self.forward_work(
            operation, training=True, gradient=self._gradients[operation.name],
            targets=tuple(self._target(operation, number) for number in range(len(operation.inputs))),
            momenta=self._named(operation, operation.parameters, ".momentum"), optimizer=self.optimizer, **options)

    def needs_backward(self, operation: Operation) -> bool:
        """Whether the gradient of its output is of use."""
        return operation.name in self._gradients

    def _target(self, operation: Operation, number: int) -> Target | None:
        if (share := self._shares.get((operation.name, number))) is None:
            return None
        name, shape = operation.inputs[number], operation.input_shapes[number]
        activation = activation_of(self.network[name]) if share.last else None
        return Target(tensor=self._read(self._gradients[name], shape),
                      addend=self._read(self._gradients[share.addend], shape) if share.addend else None,
                      activations=self._read(self._outputs[name], shape) if activation else None,
                      activation=activation)

    def _read(self, tensor: Tensor, shape: tuple[int, int, int]) -> Tensor:
        return tensor.view(self.batch, *shape)

    def _named(self, operation: Operation, names, suffix: str = "") -> dict[str, Tensor]:
        return {name: self.layout.tensors[f"{operation.name}.{name}{suffix}"] for name in names}
