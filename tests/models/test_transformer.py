import pytest
import torch
from torch import nn

from adagp.models import build, parameters
from adagp.models.transformer import PADDING, Transformer, sinusoids


def small(**options) -> Transformer:
    return Transformer(**{"words": 11, "source_words": 13, "features": 16, "heads": 4, "layers": 2, "hidden": 24} | options)


def pytorch_s(model: Transformer) -> nn.Transformer:
    """With the weights of ``model``."""
    features = model.generator.in_features
    layer = model.encoder.layers[0]
    theirs = nn.Transformer(features, layer.self_attention.heads, len(model.encoder.layers), len(model.decoder.layers),
                            layer.feedforward[0].out_features, batch_first=True)
    pairs = [("feedforward.0", "linear1"), ("feedforward.3", "linear2"), ("norm1", "norm1"), ("norm2", "norm2")]
    with torch.no_grad():
        for ours, their, attention, norms in (
                (model.encoder, theirs.encoder, {"self_attention": "self_attn"}, []),
                (model.decoder, theirs.decoder, {"self_attention": "self_attn", "cross_attention": "multihead_attn"},
                 [("norm3", "norm3")])):
            their.norm.load_state_dict(ours.norm.state_dict())
            for a, b in zip(ours.layers, their.layers):
                for mine, yours in pairs + norms:
                    b.get_submodule(yours).load_state_dict(a.get_submodule(mine).state_dict())
                for mine, yours in attention.items():
                    mine, yours = a.get_submodule(mine), b.get_submodule(yours)
                    parts = (mine.query, mine.key, mine.value)
                    yours.in_proj_weight.copy_(torch.cat([part.weight for part in parts]))
                    yours.in_proj_bias.copy_(torch.cat([part.bias for part in parts]))
                    yours.out_proj.load_state_dict(mine.output.state_dict())
    return theirs


def test_it_is_pytorch_s_transformer_between_embeddings_and_generator():
    torch.manual_seed(0)
    model = small().eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    source, target = torch.randint(1, 13, (3, 7)), torch.randint(1, 11, (3, 5))
    source[0, 4:], source[2, 6:], target[1, 3:] = PADDING, PADDING, PADDING
    vectors = pytorch_s(model).eval()(
        model.source(source), model.target(target), tgt_mask=nn.Transformer.generate_square_subsequent_mask(5),
        src_key_padding_mask=(source == PADDING).float() * -1e9, tgt_key_padding_mask=(target == PADDING).float() * -1e9,
        memory_key_padding_mask=(source == PADDING).float() * -1e9)
    torch.testing.assert_close(model(source, target), model.generator(vectors), rtol=1e-4, atol=1e-5)


def test_padding_changes_no_other_word():
    torch.manual_seed(0)
    model = small().eval()
    source, target = torch.randint(1, 13, (1, 4)), torch.randint(1, 11, (1, 3))
    padded = model(nn.functional.pad(source, (0, 3)), nn.functional.pad(target, (0, 2)))
    torch.testing.assert_close(padded[:, :3], model(source, target))


def test_no_word_sees_a_later_one():
    torch.manual_seed(0)
    model, source = small().eval(), torch.tensor([[3, 4]])
    first, second = model(source, torch.tensor([[1, 2, 3, 4]])), model(source, torch.tensor([[1, 2, 5, 6]]))
    assert first[:, :2].equal(second[:, :2]) and not first[:, 2].equal(second[:, 2])


def test_size_is_that_of_pytorch_s():
    with torch.device("meta"):
        model, theirs = build("transformer", classes=9), nn.Transformer(512, 8, 3, 3, batch_first=True)
    assert parameters(model.encoder) + parameters(model.decoder) == parameters(theirs) == 22_071_296
    assert parameters(model) == 22_071_296 + 2 * 9 * 512 + 9 * 513


def test_every_weight_of_a_product_belongs_to_a_linear_layer():
    model = small()
    matrices = {name.removesuffix(".weight") for name, parameter in model.named_parameters() if parameter.dim() > 1}
    assert {type(model.get_submodule(name)) for name in matrices} == {nn.Linear, nn.Embedding}
    torch.manual_seed(0)
    model(torch.tensor([[1, 2, 0]]), torch.tensor([[3, 4]])).square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for name, parameter in model.named_parameters() if "key.bias" not in name)
    assert not model.source.embedding.weight.grad[PADDING].any()


def test_positions_are_the_paper_s():
    table = sinusoids(50, 6)
    assert table[7, 2].item() == pytest.approx(torch.sin(torch.tensor(7 / 10_000 ** (2 / 6))).item(), abs=1e-6)
    assert table[7, 3].item() == pytest.approx(torch.cos(torch.tensor(7 / 10_000 ** (2 / 6))).item(), abs=1e-6)


def test_too_long_a_sequence_is_refused():
    with pytest.raises(ValueError, match="at most 4 tokens .longest., not 5"):
        small(longest=4)(torch.ones(1, 3, dtype=torch.long), torch.ones(1, 5, dtype=torch.long))


def test_heads_must_divide_the_features():
    with pytest.raises(ValueError, match="Transformer.features must be a multiple of twice the heads, 8, not 18"):
        small(features=18)
