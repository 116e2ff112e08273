/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.weights.Config;
import io.github.flinkdiffusion.ops.weights.IllegalConfigException;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What the networks read from a config, and what they refuse in it. */
class NetworkConfigTest {
  private static final Map<String, Function<Config, Object>> READERS =
      Map.of(
          "UNet2DConditionModel", UNet2DConditionConfig::from,
          "UNet2DModel", UNet2DConfig::from,
          "AutoencoderKL", AutoencoderKLConfig::from,
          "AutoencoderTiny", AutoencoderTinyConfig::from,
          "VQModel", VQModelConfig::from,
          "CLIPTextModel", ClipTextConfig::from,
          "CLIPVisionModelWithProjection", ClipVisionConfig::from,
          "DiTTransformer2DModel", DiTConfig::from);

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "UNet2DConditionModel | class_embed_type         | 'sinusoidal'           | timestep, projection, simple_projection, identity",
        "UNet2DConditionModel | addition_embed_type      | 'image_text'           | text, text_image, text_time, image, image_hint",
        "UNet2DConditionModel | addition_embed_type      | 'image'                | together with addition_embed_type",
        "UNet2DConditionModel | num_attention_heads      | 8                      | null",
        "UNet2DConditionModel | resnet_out_scale_factor  | 0                      | other than 0",
        "UNet2DConditionModel | time_embedding_type      | 'learned'              | positional, fourier",
        "UNet2DConditionModel | mid_block_type           | 'UNetMidBlock2DAttn'   | UNetMidBlock2DSimpleCrossAttn",
        "UNet2DConditionModel | conv_in_kernel           | 4                      | odd",
        "UNet2DConditionModel | encoder_hid_dim_type     | 'ip_image_proj'        | text_proj, text_image_proj, image_proj",
        "UNet2DConditionModel | timestep_post_act        | 'tanhx'                | silu",
        "UNet2DConditionModel | time_cond_proj_dim       | 0                      | 1 to",
        "UNet2DModel          | down_block_types         | ['KDownBlock2D']       | AttnDownBlock2D",
        "UNet2DModel          | norm_num_groups          | null                   | Skip and AttnSkip",
        "UNet2DModel          | block_out_channels       | [32, 64]               | down_block_types",
        "UNet2DModel          | attention_head_dim       | 5                      | divisor",
        "UNet2DModel          | attn_norm_num_groups     | 5                      | divisor",
        "UNet2DModel          | downsample_padding       | 2                      | 0, 1",
        "UNet2DModel          | upsample_type            | 'k'                    | resnet",
        "UNet2DModel          | class_embed_type         | 'projection'           | timestep, identity",
        "UNet2DModel          | mid_block_scale_factor   | 0                      | other than 0",
        "UNet2DModel          | time_embedding_type      | 'learned'              | positional, fourier",
        "AutoencoderKL        | latents_mean             | [0.5]                  | latent_channels",
        "AutoencoderTiny      | decoder_block_out_channels | [64, 64, 64, 32]     | all the same",
        "AutoencoderTiny      | upsample_fn              | 'bilinear'             | nearest",
        "VQModel              | norm_type                | 'spatial'              | group",
        "VQModel              | lookup_from_codebook     | true                   | false",
        "CLIPTextModel        | num_attention_heads      | 7                      | divisor",
        "CLIPTextModel        | eos_token_id             | [2, 3]                 | whole number",
        "CLIPVisionModelWithProjection | patch_size      | 0                      | image_size",
        "CLIPVisionModelWithProjection | hidden_act      | 'gelu_new'             | quick_gelu",
        "UNet2DConditionModel | layers_per_block         | 100000000              | 1 to 1000",
        "UNet2DConditionModel | transformer_layers_per_block | [1, 1, 0, 1]       | 1 to 1000",
        "UNet2DConditionModel | in_channels              | -4                     | 1 to",
        "UNet2DModel          | layers_per_block         | 100000000              | 1 to 1000",
        "AutoencoderKL        | layers_per_block         | 100000000              | 1 to 1000",
        "AutoencoderTiny      | num_encoder_blocks       | [1, 3, 3, 100000000]   | 1 to 1000",
        "VQModel              | layers_per_block         | 100000000              | 1 to 1000",
        "CLIPTextModel        | num_hidden_layers        | 100000000              | 1 to 1000",
        "CLIPVisionModelWithProjection | num_hidden_layers | 100000000            | 1 to 1000",
        "DiTTransformer2DModel | num_layers              | 100000000              | 1 to 1000",
        "DiTTransformer2DModel | sample_size             | 2000000                | patches",
        "DiTTransformer2DModel | attention_head_dim      | 16000000               | multiple of 4",
        "DiTTransformer2DModel | norm_type               | 'ada_norm_single'      | ada_norm_zero",
        "DiTTransformer2DModel | patch_size              | 3                      | divisor",
        "DiTTransformer2DModel | activation_fn           | 'geglu'                | gelu-approximate"
      },
      quoteCharacter = '"')
  void refusesByFileKeyValueAndWhatIsSupported(
      String network, String key, String value, String supported) {
    Config config = config("{'" + key + "': " + value + "}");
    assertThatThrownBy(() -> READERS.get(network).apply(config))
        .isInstanceOf(IllegalConfigException.class)
        .hasMessageContaining("unet/config.json")
        .hasMessageContaining(key)
        .hasMessageContaining(supported);
  }

  @Test
  void inputsAreDeclaredOnlyWhenTheConfigNeedsThem() {
    assertThat(inputs("{}")).containsExactly("sample", "timestep", "context");
    assertThat(inputs("{'num_class_embeds': 10}"))
        .containsExactly("sample", "timestep", "context", "class_labels");
    assertThat(inputs("{'time_cond_proj_dim': 256}"))
        .containsExactly("sample", "timestep", "context", "timestep_cond");
    assertThat(
            inputs(
                "{'addition_embed_type': 'text_time', 'addition_time_embed_dim': 256,"
                    + " 'projection_class_embeddings_input_dim': 2816}"))
        .containsExactly("sample", "timestep", "context", "text_embeds", "time_ids");
    assertThat(
            inputs(
                "{'addition_embed_type': 'image_hint', 'encoder_hid_dim': 1280,"
                    + " 'encoder_hid_dim_type': 'image_proj', 'in_channels': 8}"))
        .containsExactly("sample", "timestep", "image_embeds", "hint");
  }

  @Test
  void whatTheBlocksAskOfHeadsAndContextIsChecked() {
    String simple =
        "'down_block_types': ['ResnetDownsampleBlock2D', 'SimpleCrossAttnDownBlock2D'],"
            + " 'up_block_types': ['SimpleCrossAttnUpBlock2D', 'ResnetUpsampleBlock2D'],"
            + " 'block_out_channels': [32, 64], 'cross_attention_dim': 48,"
            + " 'mid_block_type': 'UNetMidBlock2DSimpleCrossAttn'";
    assertThat(UNet2DConditionConfig.from(config("{" + simple + "}")).sideMultiple()).isEqualTo(2);
    assertThat(UNet2DConditionConfig.from(config("{}")).sideMultiple()).isEqualTo(1);
    for (String wrong :
        List.of(
            "'attention_head_dim': 7",
            "'attention_head_dim': 128",
            "'cross_attention_norm': 'group_norm'",
            "'cross_attention_norm': 'layer_norm'",
            "'cross_attention_norm': 'rms_norm'")) {
      assertThatThrownBy(
              () -> UNet2DConditionConfig.from(config("{" + simple + ", " + wrong + "}")))
          .isInstanceOf(IllegalConfigException.class)
          .hasMessageContaining(wrong.split("'")[1]);
    }
    // To other blocks that key means nothing.
    assertThat(UNet2DConditionConfig.from(config("{'cross_attention_norm': 'rms_norm'}")))
        .isNotNull();
  }

  /** stabilityai/sd-x2-latent-upscaler, whose number of parameters diffusers counts. */
  private static final String LATENT_UPSCALER =
      "'down_block_types': ['KDownBlock2D', 'KCrossAttnDownBlock2D', 'KCrossAttnDownBlock2D',"
          + " 'KCrossAttnDownBlock2D'], 'up_block_types': ['KCrossAttnUpBlock2D',"
          + " 'KCrossAttnUpBlock2D', 'KCrossAttnUpBlock2D', 'KUpBlock2D'],"
          + " 'block_out_channels': [384, 384, 768, 768], 'layers_per_block': [2, 2, 4, 4],"
          + " 'attention_head_dim': 64, 'cross_attention_dim': 768, 'in_channels': 8,"
          + " 'out_channels': 5, 'conv_in_kernel': 1, 'conv_out_kernel': 1,"
          + " 'mid_block_type': null, 'norm_num_groups': null, 'time_cond_proj_dim': 896,"
          + " 'time_embedding_type': 'fourier', 'timestep_post_act': 'gelu', 'act_fn': 'gelu'";

  @Test
  void theLatentUpscalersBlocksHaveTheReferencesParameters() {
    UNet2DConditionConfig config = UNet2DConditionConfig.from(config("{" + LATENT_UPSCALER + "}"));
    assertThat(new UNet2DCondition(config).graph().parameterCount()).isEqualTo(335_957_765L);
    assertThat(config.sideMultiple()).isEqualTo(8);
    assertThat(config.leastSide()).isEqualTo(16);
  }

  /** masterful/gligen-1-4-generation-text-box, and the same for phrases and images. */
  @ParameterizedTest
  @CsvSource({"gated, 1068623204", "gated-text-image, 1069707108"})
  void gatedAttentionHasTheReferencesParameters(String type, long parameters) {
    String gated = "{'cross_attention_dim': 768, 'attention_type': '" + type + "'}";
    UNet2DConditionConfig config = UNet2DConditionConfig.from(config(gated));
    assertThat(new UNet2DCondition(config).groundedGraph().parameterCount()).isEqualTo(parameters);
    // Without objects the same network is Stable Diffusion's.
    UNet2DConditionConfig plain =
        UNet2DConditionConfig.from(config("{'cross_attention_dim': 768}"));
    assertThat(new UNet2DCondition(config).graph().parameterShapes().keySet())
        .isEqualTo(new UNet2DCondition(plain).graph().parameterShapes().keySet());
    assertThatThrownBy(() -> new UNet2DCondition(plain).groundedGraph())
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("attention_type");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "'encoder_hid_dim': 16, 'encoder_hid_dim_type': 'text_proj'",
        "'attention_type': 'gated'"
      })
  void aListOfContextSizesIsRefusedBesideWhatHasOne(String more) {
    String list = "'cross_attention_dim': [1280, 1280, 1280, 1280]";
    assertThat(UNet2DConditionConfig.from(config("{" + list + "}")).crossAttentionDim())
        .isEqualTo(1280);
    assertThatThrownBy(() -> UNet2DConditionConfig.from(config("{" + list + ", " + more + "}")))
        .isInstanceOf(IllegalConfigException.class)
        .hasMessageContaining("cross_attention_dim");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "'norm_num_groups': null, 'mid_block_type': 'UNetMidBlock2D'",
        "'attention_head_dim': 100",
        "'block_out_channels': [16, 16, 768, 768]",
        "'block_out_channels': [384, 384, 384, 768]",
        "'up_block_types': ['KUpBlock2D', 'KCrossAttnUpBlock2D', 'KCrossAttnUpBlock2D', 'KUpBlock2D']",
        "'up_block_types': ['KCrossAttnUpBlock2D', 'KCrossAttnUpBlock2D', 'KCrossAttnUpBlock2D', 'UpBlock2D']"
      })
  void whatKBlocksCannotRunIsRefused(String wrong) {
    assertThatThrownBy(
            () -> UNet2DConditionConfig.from(config("{" + LATENT_UPSCALER + ", " + wrong + "}")))
        .isInstanceOf(IllegalConfigException.class)
        .hasMessageContaining(wrong.split("'")[1]);
  }

  @Test
  void aTextEndsAtItsFirstEndTokenOrWhereOldConfigsSayNoneAtTheGreatest() {
    ClipTextConfig named = ClipTextConfig.from(config("{'eos_token_id': 7}"));
    assertThat(named.end(new int[] {0, 9, 7, 7, 9})).isEqualTo(2);
    ClipTextConfig old = ClipTextConfig.from(config("{'eos_token_id': 2}"));
    assertThat(old.end(new int[] {0, 2, 9, 9, 7})).isEqualTo(2);
  }

  @Test
  void aNormWithoutGroupsIsRefusedInOtherBlocks() {
    assertThatThrownBy(() -> UNet2DConditionConfig.from(config("{'norm_num_groups': null}")))
        .isInstanceOf(IllegalConfigException.class)
        .hasMessageContaining("norm_num_groups");
  }

  @Test
  void theSameSettingsByDefaultAsTheReference() {
    assertThat(UNet2DConfig.from(config("{}")).headSize()).isEqualTo(8);
    assertThat(UNet2DConfig.from(config("{'attention_head_dim': null}")).headSize()).isZero();
    assertThat(UNet2DConfig.from(config("{}")).midAttentionGroups()).isEqualTo(32);
    // The reference leaves that norm out when time embeddings scale and shift.
    assertThat(
            UNet2DConfig.from(config("{'resnet_time_scale_shift': 'scale_shift'}"))
                .midAttentionGroups())
        .isZero();
    assertThat(VQModelConfig.from(config("{'latent_channels': 4}")).codeChannels()).isEqualTo(4);
  }

  @Test
  void whatBlocksThatCarryACopyOfTheImageAskForIsChecked() {
    String skips =
        "'down_block_types': ['SkipDownBlock2D', 'AttnSkipDownBlock2D'],"
            + " 'up_block_types': ['AttnSkipUpBlock2D', 'SkipUpBlock2D'],"
            + " 'block_out_channels': [32, 32], 'attention_head_dim': 8, 'layers_per_block': 1";
    UNet2DConfig config = UNet2DConfig.from(config("{" + skips + ", 'norm_num_groups': null}"));
    assertThat(config.attends()).isTrue();
    assertThat(config.groupsOf(32)).isEqualTo(8);
    for (String wrong :
        List.of(
            "'in_channels': 6",
            "'out_channels': 1",
            "'block_out_channels': [32, 48]",
            "'down_block_types': ['DownBlock2D', 'AttnSkipDownBlock2D'], 'up_block_types': ['AttnSkipUpBlock2D', 'UpBlock2D']")) {
      assertThatThrownBy(() -> UNet2DConfig.from(config("{" + skips + ", " + wrong + "}")))
          .isInstanceOf(IllegalConfigException.class);
    }
  }

  @Test
  void statisticsOfLatentsAreKeptForPipelines() {
    AutoencoderKLConfig config =
        AutoencoderKLConfig.from(
            config("{'latent_channels': 2, 'latents_mean': [0.5, -1], 'latents_std': [1.5, 2]}"));
    assertThat(config.latentsMean()).containsExactly(0.5, -1.0);
    assertThat(config.latentsStd()).containsExactly(1.5, 2.0);
    assertThat(AutoencoderKLConfig.from(config("{}")).latentsMean()).isEmpty();
  }

  private static List<Object> inputs(String json) {
    Graph graph = new UNet2DCondition(UNet2DConditionConfig.from(config(json))).graph();
    return graph.methods().get(0).inputs().stream().map(v -> v.attributes().get(0)).toList();
  }

  private static Config config(String json) {
    try {
      return Config.of("unet/config.json", new ObjectMapper().readTree(json.replace('\'', '"')));
    } catch (JsonProcessingException e) {
      throw new IllegalArgumentException(json, e);
    }
  }
}
