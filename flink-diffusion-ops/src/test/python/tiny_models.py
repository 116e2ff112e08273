#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""Builders of the tiny networks, each shaped as a public checkpoint is. All take a seed and come back ready for inference."""

import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderTiny,
    DiTTransformer2DModel,
    UNet2DConditionModel,
    UNet2DModel,
    VQModel,
)
from diffusers.models.attention import GatedSelfAttentionDense
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
)

from fixture_tools import randomize, round_to_half, scale, seeded

VOCABULARY = 934
CHANNELS = (8, 16, 16)
CROSS_DOWN = ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D")
GROUNDING = ("boxes", "masks", "positive_embeddings", "phrases_embeddings", "phrases_masks", "image_embeddings", "image_masks")
CROSS_UP = ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D")


def finish(model, seed, prediction=None, deviation=0.7):
    """Random weights; the output scaled to ``deviation`` where a function gives one; rounded to what fp16 holds."""
    randomize(model.eval(), seed)
    if prediction is not None:
        scale(model.conv_out, deviation / prediction(model).std().item())
    return round_to_half(model)


def text_encoder(seed, cls=CLIPTextModel, hidden=32, layers=2, projection=32, act="quick_gelu", eos=2):
    config = CLIPTextConfig(
        vocab_size=VOCABULARY,
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=4,
        max_position_embeddings=77,
        hidden_act=act,
        projection_dim=projection,
        bos_token_id=0,
        eos_token_id=eos,
        pad_token_id=1,
    )
    return finish(cls(config), seed)


def projecting_text_encoder(seed, **config):
    return text_encoder(seed, cls=CLIPTextModelWithProjection, **config)


def vision_encoder(seed, act="quick_gelu", projection=32):
    config = CLIPVisionConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        image_size=32,
        patch_size=8,
        projection_dim=projection,
        hidden_act=act,
    )
    return finish(CLIPVisionModelWithProjection(config), seed)


def conditions(config, rows, generator):
    """Random values for everything that this UNet can be conditioned on."""
    given = {}
    if config.encoder_hid_dim_type != "image_proj":
        given["encoder_hidden_states"] = torch.randn(rows, 77, config.encoder_hid_dim or config.cross_attention_dim, generator=generator)
    if config.num_class_embeds is not None:
        given["class_labels"] = torch.arange(rows) * 7 + 13
    elif config.class_embed_type == "timestep":
        given["class_labels"] = torch.arange(rows) * 20.5 + 1.0
    elif config.class_embed_type in ("projection", "simple_projection"):
        given["class_labels"] = torch.randn(rows, config.projection_class_embeddings_input_dim, generator=generator)
    elif config.class_embed_type == "identity":
        given["class_labels"] = torch.randn(rows, 4 * config.block_out_channels[0], generator=generator)
    if config.time_cond_proj_dim is not None:
        given["timestep_cond"] = torch.randn(rows, config.time_cond_proj_dim, generator=generator)
    if config.addition_embed_type == "text_time":
        pooled = config.projection_class_embeddings_input_dim - 6 * config.addition_time_embed_dim
        given["text_embeds"] = torch.randn(rows, pooled, generator=generator)
        given["time_ids"] = torch.tensor([[64.0, 96.0, 0.0, 8.0, 64.0, 64.0], [1024.0, 768.0, 5.0, 0.0, 1024.0, 1024.0]]).repeat(rows, 1)[:rows]
    elif config.addition_embed_type == "text_image":
        given["text_embeds"] = torch.randn(rows, config.cross_attention_dim, generator=generator)
        given["image_embeds"] = torch.randn(rows, config.cross_attention_dim, generator=generator)
    elif config.addition_embed_type in ("image", "image_hint"):
        given["image_embeds"] = torch.randn(rows, config.encoder_hid_dim, generator=generator)
    if config.attention_type != "default":
        given.update(objects(config, rows, generator))
    return given


def objects(config, rows, generator, most=4):
    """Random objects in their places, another number in each row; every second row does not see them (``gate``)."""
    size = config.cross_attention_dim
    masks = (torch.arange(most) <= torch.arange(rows)[:, None] % most).float()
    given = {"boxes": torch.rand(rows, most, 4, generator=generator), "masks": masks, "gate": (torch.arange(rows) % 2 == 0).float()}
    if config.attention_type == "gated":
        return {**given, "positive_embeddings": torch.randn(rows, most, size, generator=generator)}
    return {
        **given,
        "phrases_embeddings": torch.randn(rows, most, size, generator=generator),
        "phrases_masks": masks,
        "image_embeddings": torch.randn(rows, most, size, generator=generator),
        "image_masks": masks.flip(1),
    }


def enable_fusers(model, enabled):
    """What the GLIGEN pipelines' enable_fuser does."""
    for module in model.modules():
        if isinstance(module, GatedSelfAttentionDense):
            module.enabled = enabled


def channels_of(config):
    """Channels of the sample: a hint becomes the other four."""
    return config.in_channels - (4 if config.addition_embed_type == "image_hint" else 0)


def with_hint(config, sample, given, generator):
    """The conditions, and a hint of the sample's size where the network takes one."""
    if config.addition_embed_type != "image_hint":
        return given
    rows, _, height, width = sample.shape
    return {**given, "hint": torch.rand(rows, 3, 8 * height, 8 * width, generator=generator)}


def call_unet(model, sample, timestep, given):
    """Calls a UNet2DConditionModel with the flat arguments of ``conditions``."""
    given = dict(given)
    added = {key: given.pop(key) for key in ("text_embeds", "time_ids", "image_embeds", "hint") if key in given}
    given.setdefault("encoder_hidden_states", None)
    grounding = {key: given.pop(key) for key in GROUNDING if key in given}
    gate = given.pop("gate", None)
    if grounding:
        given["cross_attention_kwargs"] = {"gligen": grounding}
    seeing = model(sample, timestep, added_cond_kwargs=added or None, **given).sample
    if gate is None:
        return seeing
    enable_fusers(model, False)
    blind = model(sample, timestep, added_cond_kwargs=added or None, **given).sample
    enable_fusers(model, True)
    return torch.where(gate[:, None, None, None] > 0, seeing, blind)


def unet(seed, deviation=0.7, **config):
    options = dict(
        sample_size=8,
        in_channels=4,
        out_channels=4,
        down_block_types=CROSS_DOWN,
        up_block_types=CROSS_UP,
        block_out_channels=CHANNELS,
        layers_per_block=1,
        cross_attention_dim=32,
        norm_num_groups=4,
        attention_head_dim=4,
    )
    options.update(config)

    def prediction(model):
        generator = seeded(92)
        given = conditions(model.config, 4, generator)
        sample = torch.randn(4, channels_of(model.config), 8, 8, generator=generator)
        return call_unet(model, sample, torch.tensor([1, 250, 500, 981]), with_hint(model.config, sample, given, generator))

    return finish(UNet2DConditionModel(**options), seed, prediction, deviation)


def labels(config, values):
    """Class labels for a UNet2DModel that takes any."""
    if config.num_class_embeds is not None:
        return {"class_labels": torch.tensor(values)}
    if config.class_embed_type == "timestep":
        return {"class_labels": torch.tensor(values) * 20.5 + 1.0}
    return {}


def unet2d(seed, deviation=0.7, **config):
    options = dict(
        sample_size=16,
        in_channels=3,
        out_channels=3,
        block_out_channels=CHANNELS,
        layers_per_block=1,
        norm_num_groups=4,
    )
    options.update(config)

    def prediction(model):
        sample = torch.randn(4, model.config.in_channels, 16, 16, generator=seeded(93))
        return model(sample, torch.tensor([1, 250, 500, 981]), **labels(model.config, [0, 1, 2, 3])).sample

    return finish(UNet2DModel(**options), seed, prediction, deviation)


def autoencoder(seed, channels=(8, 8, 16, 16), **config):
    options = dict(
        down_block_types=("DownEncoderBlock2D",) * len(channels),
        up_block_types=("UpDecoderBlock2D",) * len(channels),
        block_out_channels=channels,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=4,
        sample_size=64,
    )
    options.update(config)
    model = randomize(AutoencoderKL(**options).eval(), seed)
    generator = seeded(91)
    decoded = model.decode(torch.randn(4, options["latent_channels"], 8, 8, generator=generator) * 5).sample
    scale(model.decoder.conv_out, 0.35 / decoded.std().item())
    encoded = model.encode(torch.rand(4, 3, 64, 64, generator=generator) * 2 - 1).latent_dist.parameters
    scale(model.encoder.conv_out if model.quant_conv is None else model.quant_conv, 2.0 / encoded.std().item())
    return round_to_half(model)


def vq_model(seed, **config):
    options = dict(
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(8, 16, 24),
        layers_per_block=1,
        latent_channels=3,
        num_vq_embeddings=64,
        norm_num_groups=4,
        sample_size=64,
    )
    options.update(config)
    model = randomize(VQModel(**options).eval(), seed)
    model.quantize.embedding.weight.mul_(4.0)  # as wide as the latents that a random UNet ends at
    decoded = model.decode(torch.randn(4, 3, 8, 8, generator=seeded(91)) * 3).sample
    scale(model.decoder.conv_out, 0.35 / decoded.std().item())
    return round_to_half(model)


def tiny_autoencoder(seed):
    model = AutoencoderTiny(
        encoder_block_out_channels=(8,) * 4,
        decoder_block_out_channels=(8,) * 4,
        num_encoder_blocks=(1, 2, 2, 2),
        num_decoder_blocks=(2, 2, 2, 1),
    )
    randomize(model.eval(), seed, gain=0.8)
    decoded = model.decode(torch.randn(2, 4, 8, 8, generator=seeded(91))).sample
    scale(model.decoder.layers[-1], 0.35 / decoded.std().item())
    return round_to_half(model)


def dit(seed):
    model = DiTTransformer2DModel(
        num_attention_heads=4,
        attention_head_dim=8,
        in_channels=4,
        out_channels=8,
        num_layers=2,
        patch_size=2,
        sample_size=8,
        norm_num_groups=8,
        num_embeds_ada_norm=1000,
    )
    randomize(model.eval(), seed)
    predicted = model(torch.randn(2, 4, 8, 8, generator=seeded(94)), timestep=torch.tensor([300, 700]), class_labels=torch.tensor([3, 1000])).sample
    scale(model.proj_out_2, 0.7 / predicted.std().item())
    return round_to_half(model)
