import torch
from torch import nn
from torch.nn import functional

from adagp.models import build, layer_shapes, multiply_accumulates, parameters


class Several(nn.Module):
    def __init__(self):
        super().__init__()
        self.grouped = nn.Conv2d(4, 6, (3, 2), stride=2, groups=2)
        self.transposed = nn.ConvTranspose2d(6, 8, 3, stride=2, groups=2)
        self.linear = nn.Linear(8, 5, bias=False)

    def forward(self, x):
        x = self.transposed(self.grouped(x))
        return self.linear(x.flatten(2).transpose(1, 2))


def test_layers_are_listed_with_their_shapes():
    layers = layer_shapes(Several(), torch.empty(2, 4, 9, 10))
    assert [(layer.name, layer.kind, layer.input, layer.weight, layer.output) for layer in layers] == [
        ("grouped", "convolution", (2, 4, 9, 10), (6, 2, 3, 2), (2, 6, 4, 5)),
        ("transposed", "transposed convolution", (2, 6, 4, 5), (6, 4, 3, 3), (2, 8, 9, 11)),
        ("linear", "linear", (198, 8), (5, 8), (198, 5))]
    assert [layer.multiply_accumulates for layer in layers] == [2 * 6 * 20 * 2 * 6, 2 * 20 * 6 * 4 * 9, 198 * 5 * 8]


def test_attention_s_products_count():
    class Attend(nn.Module):
        def forward(self, q, k, v):
            return functional.scaled_dot_product_attention(q, k, v, is_causal=True)

    products = layer_shapes(Attend(), torch.empty(2, 3, 5, 4), torch.empty(2, 3, 7, 4), torch.empty(2, 3, 7, 8))
    assert [layer.kind for layer in products] == ["product", "product"]
    assert [layer.multiply_accumulates for layer in products] == [2 * 3 * 5 * 7 * 4, 2 * 3 * 5 * 7 * 8]


def test_pytorch_s_transformer_counts_as_much_as_the_same_with_linear_layers():
    with torch.device("meta"):
        theirs, ours = nn.Transformer(512, 8, 3, 3, batch_first=True), build("transformer", classes=7)
    for parameter in theirs.parameters():
        parameter.requires_grad_(False)  # PyTorch then has layers that calculate all at once
    source, target = torch.empty(2, 20, 512), torch.empty(2, 17, 512)
    of_theirs = multiply_accumulates(theirs.eval(), source, target)
    of_ours = multiply_accumulates(ours, torch.ones(2, 20, dtype=torch.long), torch.ones(2, 17, dtype=torch.long))
    assert of_ours - 2 * 17 * 512 * 7 == of_theirs


def test_counting_leaves_the_model_as_it_is():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2).eval(), nn.Dropout()).train()
    model[1].eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    multiply_accumulates(model, torch.randn(4, 1, 5, 5))
    assert [module.training for module in model.modules()] == [True, True, False, True]
    assert all(tensor.equal(before[name]) for name, tensor in model.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert parameters(model) == 2 * 9 + 2 + 4


def test_sizes_beyond_any_memory_are_counted():
    with torch.device("meta"):
        images = torch.empty(1 << 20, 3, 224, 224)
    model = build("resnet14")
    assert multiply_accumulates(model, images) == (1 << 20) * multiply_accumulates(model, images[:1])


def test_a_failing_pass_leaves_no_hooks():
    model = nn.Sequential(nn.Linear(3, 4))
    try:
        layer_shapes(model, torch.empty(1, 5))
    except RuntimeError:
        pass
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
