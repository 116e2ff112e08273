#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""networks-blocks/<name>: UNets of the blocks that Stable Diffusion does not have. Can be run by itself; ``--report`` as in make_model_fixtures.py."""

import argparse

import torch

import tiny_models as tiny
from fixture_tools import FIXTURES, configure_torch, fresh_folder, store_half, write_json
from network_goldens import make_goldens

SIMPLE_DOWN = ("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D", "SimpleCrossAttnDownBlock2D")
SIMPLE_UP = ("SimpleCrossAttnUpBlock2D", "SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D")
KANDINSKY = dict(
    down_block_types=SIMPLE_DOWN,
    up_block_types=SIMPLE_UP,
    mid_block_type="UNetMidBlock2DSimpleCrossAttn",
    resnet_time_scale_shift="scale_shift",
    out_channels=8,
)
FLOYD = dict(
    down_block_types=SIMPLE_DOWN,
    up_block_types=SIMPLE_UP,
    mid_block_type="UNetMidBlock2DSimpleCrossAttn",
    resnet_time_scale_shift="scale_shift",
    act_fn="gelu",
    cross_attention_norm="group_norm",
    encoder_hid_dim=24,
    encoder_hid_dim_type="text_proj",
    addition_embed_type="text",
    addition_embed_type_num_heads=4,
    resnet_skip_time_act=True,
    time_embedding_act_fn="gelu",
    timestep_post_act=None,
)


def make(out, report=False):
    entries = []
    fresh_folder(out / "networks-blocks")  # so that a network that is no longer made leaves nothing behind

    def add(name, model, notes):
        folder = fresh_folder(out / "networks-blocks" / name)
        model.save_pretrained(folder)
        store_half(folder)
        loaded = type(model).from_pretrained(folder, torch_dtype=torch.float32).eval()
        different = [key for key, value in model.state_dict().items() if not torch.equal(value, loaded.state_dict()[key])]
        if different:
            raise AssertionError(f"{name}: {different} do not come back from disk")
        entries.append(make_goldens(out, f"networks-blocks/{name}", None, loaded, None, notes, report))

    add(
        "unet-kandinsky-image",
        tiny.unet(701, **KANDINSKY, encoder_hid_dim=20, encoder_hid_dim_type="image_proj", addition_embed_type="image"),
        "Kandinsky 2.2's shape: an image's embedding is the whole context, and is added to the time embedding",
    )
    add(
        "unet-kandinsky-hint",
        tiny.unet(702, **KANDINSKY, in_channels=8, encoder_hid_dim=20, encoder_hid_dim_type="image_proj", addition_embed_type="image_hint", layers_per_block=[1, 2, 1]),
        "Kandinsky 2.2's ControlNet: an image that becomes four of the sample's channels",
    )
    add(
        "unet-kandinsky-text",
        tiny.unet(703, **KANDINSKY, encoder_hid_dim=24, encoder_hid_dim_type="text_image_proj", addition_embed_type="text_image", mid_block_scale_factor=1.4142),
        "Kandinsky 2.1's shape: embeddings of a text and an image",
    )
    add(
        "unet-floyd",
        tiny.unet(704, **FLOYD, layers_per_block=2, in_channels=3, out_channels=6),
        "DeepFloyd IF's shape: T5's tokens, pooled by attention for the time embedding, and normed for each attention",
    )
    add(
        "unet-floyd-upscaler",
        tiny.unet(
            705, **FLOYD, in_channels=6, out_channels=6, class_embed_type="timestep", only_cross_attention=True, resnet_out_scale_factor=1.4142, attention_head_dim=[8, 4, 2],
            block_out_channels=(8, 16, 24),
        ),
        "DeepFloyd IF's second stage: pixels see the context alone; the noise level of the small image as class label; a size of heads for each level, which is not reversed on the way up",
    )
    add(
        "unet-mixed-blocks",
        tiny.unet(
            706,
            block_out_channels=(8, 32, 32),
            cross_attention_dim=32,
            down_block_types=("CrossAttnDownBlock2D", "SimpleCrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UNetResUpBlock2D", "SimpleCrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
            mid_block_type="UNetMidBlock2DSimpleCrossAttn",
            cross_attention_norm="layer_norm",
            only_cross_attention=[False, True, False],
            mid_block_only_cross_attention=True,
            resnet_out_scale_factor=2.0,
        ),
        "blocks of three kinds in one network; a norm over each token; a name with a prefix of 2022",
    )
    add(
        "unet-fourier",
        tiny.unet(707, time_embedding_type="fourier", class_embed_type="timestep", down_block_types=("DownBlock2D", "ResnetDownsampleBlock2D", "CrossAttnDownBlock2D"), layers_per_block=1),
        "random Fourier features for the timestep and for a label",
    )
    add(
        "unet-k-upscaler",
        tiny.unet(
            708,
            in_channels=8,
            out_channels=5,
            block_out_channels=(32, 64, 64),
            layers_per_block=[2, 2, 1],
            down_block_types=("KDownBlock2D", "KCrossAttnDownBlock2D", "KCrossAttnDownBlock2D"),
            up_block_types=("KCrossAttnUpBlock2D", "KCrossAttnUpBlock2D", "KUpBlock2D"),
            mid_block_type=None,
            norm_num_groups=None,
            attention_head_dim=16,
            cross_attention_norm="layer_norm",
            act_fn="gelu",
            conv_in_kernel=1,
            conv_out_kernel=1,
            time_embedding_type="fourier",
            time_cond_proj_dim=40,
            timestep_post_act="gelu",
            only_cross_attention=[False, False, False],
            upcast_attention=None,
        ),
        "the latent upscaler's shape (sd-x2-latent-upscaler): k-diffusion's blocks, without a middle and without a norm at the end",
    )
    add(
        "unet-k-mixed",
        tiny.unet(
            709,
            block_out_channels=(32, 64),
            layers_per_block=[2, 1],
            down_block_types=("KCrossAttnDownBlock2D", "KDownBlock2D"),
            up_block_types=("KUpBlock2D", "KCrossAttnUpBlock2D"),
            mid_block_type="UNetMidBlock2DCrossAttn",
            attention_head_dim=[8, 16],
        ),
        "k-diffusion's blocks the other way around, with a middle and a norm at the end, and a size of heads for each level, which is not reversed",
    )
    add(
        "unet-gligen-text-image",
        tiny.unet(
            710,
            block_out_channels=(8, 16),
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
            attention_head_dim=[2, 4],
            attention_type="gated-text-image",
            use_linear_projection=True,
            upcast_attention=True,
        ),
        "GLIGEN's network for phrases and images: objects in boxes, another number in each row; the second row does not see them",
    )
    add(
        "unet2d-ncsnpp",
        tiny.unet2d(
            711,
            block_out_channels=(16, 32, 32),
            down_block_types=("SkipDownBlock2D", "SkipDownBlock2D", "AttnSkipDownBlock2D"),
            up_block_types=("AttnSkipUpBlock2D", "SkipUpBlock2D", "SkipUpBlock2D"),
            time_embedding_type="fourier",
            attention_head_dim=None,
            norm_num_groups=None,
            mid_block_scale_factor=1.4142135623730951,
            norm_eps=1e-6,
        ),
        "NCSN++'s shape: a copy of the image beside its features, FIR filters, random Fourier features of the noise level",
    )
    add(
        "unet2d-ncsnpp-options",
        tiny.unet2d(
            712,
            block_out_channels=(32, 32, 32),
            down_block_types=("AttnSkipDownBlock2D", "SkipDownBlock2D", "AttnSkipDownBlock2D"),
            up_block_types=("ResnetUpsampleBlock2D", "AttnSkipUpBlock2D", "AttnSkipUpBlock2D"),
            attention_head_dim=8,
            norm_num_groups=8,
            act_fn="gelu",
            center_input_sample=True,
            resnet_time_scale_shift="scale_shift",
            num_class_embeds=10,
        ),
        "other blocks among them, several heads, timesteps instead of noise levels",
    )
    add(
        "unet2d-resnet-blocks",
        tiny.unet2d(
            713,
            down_block_types=("ResnetDownsampleBlock2D", "AttnDownBlock2D", "ResnetDownsampleBlock2D"),
            up_block_types=("SkipUpBlock2D", "SkipUpBlock2D", "SkipUpBlock2D"),
            block_out_channels=(16, 16, 32),
            attention_head_dim=8,
            downsample_type="resnet",
            class_embed_type="timestep",
            time_embedding_type="fourier",
        ),
        "residual blocks that resample on the way down, NCSN++'s on the way up; a label embedded as noise levels are",
    )
    write_json(out / "networks-blocks.json", {"networks": entries})


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--report", action="store_true")
    configure_torch()
    make(FIXTURES, parser.parse_args().report)


if __name__ == "__main__":
    main()
