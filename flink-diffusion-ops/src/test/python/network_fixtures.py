#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""networks/<name>: single networks in the shapes that no pipeline fixture has."""

import torch
from transformers import CLIPTokenizer

import tiny_models as tiny
from fixture_tools import drop_config_keys, fresh_folder, rewrite_weights, store_half
from network_goldens import make_goldens

OLD_ATTENTION_NAMES = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}


def old_attention_names(name):
    """The key names of diffusers before 0.15 for attention over pixels."""
    parts = name.split(".")
    if "attentions" in parts:
        for new, old in OLD_ATTENTION_NAMES.items():
            name = name.replace(f".{new}.", f".{old}.")
    return name


def make(out, tokenizer_folder, report=False):
    entries = []
    fresh_folder(out / "networks")  # so that a network that is no longer made leaves nothing behind
    tokenizer = CLIPTokenizer.from_pretrained(tokenizer_folder)

    def add(name, model, notes, old_names=False, keep=None, junk=None):
        folder = fresh_folder(out / "networks" / name)
        model.save_pretrained(folder)
        store_half(folder)
        if old_names:
            rewrite_weights(folder / "diffusion_pytorch_model.safetensors", rename=old_attention_names)
        if keep is not None:
            drop_config_keys(folder / "config.json", keep, junk)
        loaded = type(model).from_pretrained(folder, torch_dtype=torch.float32).eval()
        different = [key for key, value in model.state_dict().items() if not torch.equal(value, loaded.state_dict()[key])]
        if different:
            raise AssertionError(f"{name}: {different} do not come back from disk")
        entries.append(make_goldens(out, f"networks/{name}", None, loaded, tokenizer, notes, report))

    add(
        "unet-old-config",
        tiny.unet(501, layers_per_block=2, freq_shift=0),
        "config.json of the first Stable Diffusion releases: 20 keys, and leftovers of an EMA copy that mean nothing",
        keep=(
            "act_fn attention_head_dim block_out_channels center_input_sample cross_attention_dim down_block_types downsample_padding flip_sin_to_cos "
            "freq_shift in_channels layers_per_block mid_block_scale_factor norm_eps norm_num_groups out_channels sample_size up_block_types"
        ).split(),
        junk={"_name_or_path": "somebody/some-model", "decay": 0.9999, "inv_gamma": 1.0, "min_decay": 0.0, "optimization_step": 15000, "power": 0.75, "update_after_step": 0},
    )
    add(
        "unet-class-projection",
        tiny.unet(511, in_channels=8, class_embed_type="projection", projection_class_embeddings_input_dim=10),
        "a vector as class label, as GeoWizard has it",
    )
    add(
        "unet-class-timestep",
        tiny.unet(521, class_embed_type="timestep", class_embeddings_concat=False, conv_in_kernel=1, conv_out_kernel=1, timestep_post_act="silu"),
        "a second timestep as class label, 1 x 1 convolutions at both ends, an activation after the time embedding",
    )
    add(
        "unet-lists",
        tiny.unet(
            531,
            layers_per_block=[1, 2, 1],
            attention_head_dim=[2, 4, 8],
            transformer_layers_per_block=[2, 1, 1],
            only_cross_attention=[False, True, False],
            resnet_time_scale_shift="scale_shift",
            use_linear_projection=True,
        ),
        "a value for each level, and time embeddings that scale and shift",
    )
    add(
        "unet-no-mid-block",
        tiny.unet(541, mid_block_type=None, flip_sin_to_cos=False, freq_shift=1, center_input_sample=True, downsample_padding=1, act_fn="gelu"),
        "no middle block, sines first, centred input",
    )
    add(
        "unet-bk-sdm",
        tiny.unet(
            571,
            block_out_channels=(8, 16, 16, 16),
            down_block_types=("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
            up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
            layers_per_block=1,
            mid_block_type=None,
            act_fn="mish",
        ),
        "BK-SDM-Small's shape: one residual block a level and no middle; and mish",
    )
    add(
        "unet-ssd-1b",
        tiny.unet(
            572,
            layers_per_block=2,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            transformer_layers_per_block=[1, [2, 1], [2, 2]],
            reverse_transformer_layers_per_block=[[2, 2, 3], [2, 1, 1], 1],
            mid_block_type="UNetMidBlock2D",
            mid_block_scale_factor=1.4142,
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=80,
        ),
        "SSD-1B's shape: each attention has its own depth, other ones on the way up, and the middle is one residual block",
    )
    add(
        "unet-class-concatenated",
        tiny.unet(
            573,
            class_embed_type="simple_projection",
            class_embeddings_concat=True,
            projection_class_embeddings_input_dim=10,
            encoder_hid_dim=24,
            encoder_hid_dim_type="text_proj",
            time_embedding_dim=24,
            time_embedding_act_fn="silu",
            mid_block_scale_factor=2.0,
            resnet_out_scale_factor=1.3,
            resnet_skip_time_act=True,
        ),
        "a projected label beside the time embedding, which has a size and an activation of its own; a projected context; keys of other blocks",
    )
    add(
        "unet2d-old-keys",
        tiny.unet2d(
            551,
            down_block_types=("DownBlock2D", "AttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
            attention_head_dim=None,
            downsample_padding=0,
            flip_sin_to_cos=False,
            freq_shift=1,
            norm_eps=1e-6,
            layers_per_block=2,
        ),
        "google/ddpm's shape, with the attention keys of old files (query, key, value, proj_attn)",
        old_names=True,
    )
    add(
        "unet2d-options",
        tiny.unet2d(
            561,
            down_block_types=("DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"),
            up_block_types=("AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
            attention_head_dim=4,
            downsample_type="resnet",
            upsample_type="resnet",
            resnet_time_scale_shift="scale_shift",
            num_class_embeds=10,
            attn_norm_num_groups=2,
            mid_block_scale_factor=1.4142,
        ),
        "residual blocks that resample, class labels, several heads",
    )
    add(
        "unet2d-no-attention",
        tiny.unet2d(571, down_block_types=("DownBlock2D",) * 3, up_block_types=("UpBlock2D",) * 3, add_attention=False),
        "no attention at all, the middle block's included",
    )
    add("vae-old-keys", tiny.autoencoder(581), "Stable Diffusion's shape, with the attention keys of old files (query, key, value, proj_attn)", old_names=True)
    add(
        "vae-without-quant-convs",
        tiny.autoencoder(
            591,
            channels=(8, 8, 16),
            latent_channels=6,
            use_quant_conv=False,
            use_post_quant_conv=False,
            mid_block_add_attention=False,
            shift_factor=0.0609,
            scaling_factor=0.3611,
            latents_mean=[0.1, -0.2, 0.3, -0.4, 0.5, -0.6],
            latents_std=[1.1, 1.2, 1.3, 0.9, 0.8, 0.7],
            force_upcast=True,
        ),
        "as later autoencoders are; scaling_factor, shift_factor, latents_mean and latents_std are for pipelines and change nothing here",
    )
    add("autoencoder-tiny", tiny.tiny_autoencoder(601), "TAESD's shape")
    add("vq-model", tiny.vq_model(611, vq_embed_dim=3, block_out_channels=(8, 8, 16)), "decode picks the nearest codebook entry, unless told not to")
    add("clip-text-unprefixed", tiny.text_encoder(621, eos=933), "keys without text_model., as transformers 5 saves them; the right eos_token_id, so the end is its first position")
    add("clip-text-projection", tiny.projecting_text_encoder(631, hidden=48, layers=3, projection=40, act="gelu"), "SDXL's second text encoder; eos_token_id 2, so the end is the highest id")
    add("clip-vision-projection", tiny.vision_encoder(641, act="gelu", projection=24), "an image encoder; last_hidden_state is before the final norm, image_embeds after it and the projection")
    add("dit", tiny.dit(651), "DiT's shape, with learned sigma")
    add("unet-class-identity", tiny.unet(661, class_embed_type="identity"), "a class label that is an embedding already")
    add(
        "unet2d-class-timestep",
        tiny.unet2d(
            671,
            down_block_types=("AttnDownBlock2D", "DownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "UpBlock2D", "AttnUpBlock2D"),
            attention_head_dim=2,
            class_embed_type="timestep",
            resnet_time_scale_shift="scale_shift",
            time_embedding_dim=24,
            center_input_sample=True,
            act_fn="gelu",
        ),
        "a second timestep as class label, no norm before the middle's attention, centred input, a size of its own for the time embedding",
    )
    return entries
