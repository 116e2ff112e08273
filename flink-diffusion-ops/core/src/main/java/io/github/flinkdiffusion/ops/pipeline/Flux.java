/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.network.FluxTransformer;
import io.github.flinkdiffusion.ops.network.FluxTransformerConfig;
import io.github.flinkdiffusion.ops.weights.Config;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * Flux.1 (diffusers' FluxPipeline, its Img2Img and Inpaint): the states of T5, and the state of the
 * text's end by CLIP. The guidance scale is an input of the distilled network; a negative prompt
 * counts with {@code trueCfgScale} alone.
 */
final class Flux implements Conditioning {
  /** Pixels of the latent along a side of a token. */
  private static final int PATCH = 2;

  /** diffusers' {@code default_sample_size}, in pixels of the latent. */
  private static final int SAMPLE_SIZE = 128;

  private final PromptEncoder clip;
  private final T5Prompts t5;
  private final boolean guided;
  private final Variant variant;

  /**
   * What the pipelines differ in.
   *
   * @param guidanceScale by default, of a transformer that takes it
   * @param negatives whether negative prompts count
   */
  private record Variant(TextTransformer.Family family, double guidanceScale, boolean negatives) {}

  private static final Variant TEXT =
      new Variant(
          new TextTransformer.Family("FluxPipeline", TextTransformer.Way.OF_FLOW, 28, 0.6, 0.6),
          3.5,
          true);

  private static final Variant CONTROL =
      new Variant(
          new TextTransformer.Family("FluxControlPipeline", TextTransformer.Way.OF_FLOW, 28, 0, 0)
              .with(TextTransformer.Beside.CONTROL),
          3.5,
          false);

  private static final Variant CONTROL_AND_IMAGE =
      new Variant(
          new TextTransformer.Family(
                  "FluxControlImg2ImgPipeline", TextTransformer.Way.OF_FLOW, 28, 0.6, 0.6)
              .with(TextTransformer.Beside.CONTROL),
          7.0,
          false);

  private static final Variant FILL =
      new Variant(
          new TextTransformer.Family("FluxFillPipeline", TextTransformer.Way.OF_FLOW, 50, 0, 1.0)
              .with(TextTransformer.Beside.COVERED_AND_MASK),
          30.0,
          false);

  private Flux(PromptEncoder clip, T5Prompts t5, boolean guided, Variant variant) {
    this.clip = clip;
    this.t5 = t5;
    this.guided = guided;
    this.variant = variant;
  }

  /** FluxPipeline and its Img2Img and Inpaint. */
  static Task open(Components components) {
    return open(components, TEXT);
  }

  /** FluxControlPipeline: the image is what the result follows. */
  static Task openControl(Components components) {
    return open(components, CONTROL);
  }

  /** FluxControlImg2ImgPipeline and its Inpaint: a control image is what the result follows. */
  static Task openControlAndImage(Components components) {
    return open(components, CONTROL_AND_IMAGE);
  }

  /** FluxFillPipeline. */
  static Task openFill(Components components) {
    return open(components, FILL);
  }

  private static Task open(Components components, Variant variant) {
    Config config = components.config("transformer", "FluxTransformer2DModel");
    FluxTransformerConfig transformer = FluxTransformerConfig.from(config);
    PromptEncoder clip = PromptEncoder.openOutermost(components);
    T5Prompts t5 = T5Prompts.open(components, "tokenizer_2", "text_encoder_2");
    if (t5.hiddenSize() != transformer.contextSize()) {
      throw config.unsupported(
          "joint_attention_dim", transformer.contextSize(), "T5's d_model, " + t5.hiddenSize());
    }
    if (clip.pooledSize() != transformer.pooledSize()) {
      throw config.unsupported(
          "pooled_projection_dim",
          transformer.pooledSize(),
          "the CLIP encoder's hidden_size, " + clip.pooledSize());
    }
    Autoencoder autoencoder = Autoencoder.openShifted(components);
    int latent = autoencoder.format().latentChannels();
    int beside = variant.family().beside().channels(autoencoder.format());
    checkChannels(config, "in_channels", transformer.inChannels(), latent + beside, variant);
    checkChannels(config, "out_channels", transformer.outChannels(), latent, variant);
    return TextTransformer.open(
        components,
        variant.family(),
        new TextTransformer.Transformer(
            new FluxTransformer(transformer),
            "num_layers",
            transformer.inChannels(),
            PATCH,
            SAMPLE_SIZE * autoencoder.format().scaleFactor()),
        new Flux(clip, t5, transformer.guided(), variant),
        autoencoder);
  }

  private static void checkChannels(
      Config config, String key, int channels, int wanted, Variant variant) {
    if (channels != wanted) {
      int token = PATCH * PATCH;
      throw config.unsupported(
          key,
          channels * token,
          "%d in a %s with this autoencoder: %d channels of %d pixels a token"
              .formatted(wanted * token, variant.family().name(), wanted, token));
    }
  }

  @Override
  public Signature describe(Signature signature) {
    Signature texts =
        signature.withDefault(
            Parameters.PROMPT_2, "the prompt", asked -> asked.get(Parameters.PROMPT));
    if (variant.negatives()) {
      texts =
          texts
              .optional(Parameters.NEGATIVE_PROMPT)
              .withDefault(
                  Parameters.NEGATIVE_PROMPT_2,
                  "the negativePrompt",
                  asked -> asked.get(Parameters.NEGATIVE_PROMPT))
              .withDefault(Parameters.TRUE_CFG_SCALE, 1.0);
    }
    texts = texts.withDefault(Parameters.MAX_SEQUENCE_LENGTH, 512L);
    return guided ? texts.withDefault(Parameters.GUIDANCE_SCALE, variant.guidanceScale()) : texts;
  }

  @Override
  public void check(GenerationRequest request) {}

  @Override
  public Denoiser.Input[] inputs() {
    List<Denoiser.Input> inputs = new ArrayList<>();
    inputs.add(Denoiser.Input.vectors(t5.hiddenSize()));
    inputs.add(Denoiser.Input.floats(clip.pooledSize()));
    if (guided) {
      inputs.add(Denoiser.Input.floats(1));
    }
    return inputs.toArray(Denoiser.Input[]::new);
  }

  /** One row's texts, for each text encoder. */
  private record Texts(String clip, T5Prompts.Text t5) {}

  @Override
  public long tokens(GenerationRequest request) {
    return request.get(Parameters.MAX_SEQUENCE_LENGTH) * (negative(request) ? 2 : 1);
  }

  @Override
  public List<Conditions> encode(List<GenerationRequest> requests) {
    List<Texts> texts = new ArrayList<>();
    for (GenerationRequest request : requests) {
      texts.add(texts(request, Parameters.PROMPT, Parameters.PROMPT_2));
      if (negative(request)) {
        texts.add(texts(request, Parameters.NEGATIVE_PROMPT, Parameters.NEGATIVE_PROMPT_2));
      }
    }
    Map<String, PromptEncoding> ends = clip.encode(texts.stream().map(Texts::clip).toList());
    Map<T5Prompts.Text, PromptEncoding> states = t5.encode(texts.stream().map(Texts::t5).toList());
    return requests.stream().map(request -> conditions(request, ends, states)).toList();
  }

  private Conditions conditions(
      GenerationRequest request,
      Map<String, PromptEncoding> ends,
      Map<T5Prompts.Text, PromptEncoding> states) {
    Texts wanted = texts(request, Parameters.PROMPT, Parameters.PROMPT_2);
    Row row = row(request, ends.get(wanted.clip), states.get(wanted.t5));
    // What CLIP leaves out counts as little as in the reference: T5 reads on.
    boolean truncated = states.get(wanted.t5).truncated();
    if (!negative(request)) {
      return new Conditions(List.of(row), Guidance.NONE, truncated);
    }
    Texts unwanted = texts(request, Parameters.NEGATIVE_PROMPT, Parameters.NEGATIVE_PROMPT_2);
    return new Conditions(
        List.of(row(request, ends.get(unwanted.clip), states.get(unwanted.t5)), row),
        Guidance.classifierFree(request.get(Parameters.TRUE_CFG_SCALE)),
        truncated || states.get(unwanted.t5).truncated());
  }

  private Row row(GenerationRequest request, PromptEncoding end, PromptEncoding states) {
    int tokens = states.states().length / t5.hiddenSize();
    return (guided
            ? Row.of(states.states(), end.pooled(), new float[] {(float) request.guidanceScale()})
            : Row.of(states.states(), end.pooled()))
        .ofTokens(tokens);
  }

  private boolean negative(GenerationRequest request) {
    return variant.negatives()
        && request.get(Parameters.TRUE_CFG_SCALE) > 1
        && request.get(Parameters.NEGATIVE_PROMPT) != null;
  }

  private static Texts texts(
      GenerationRequest request, Parameter<String> clip, Parameter<String> t5) {
    String first = request.get(clip);
    String second = request.get(t5);
    return new Texts(
        first,
        new T5Prompts.Text(
            second.isEmpty() ? first : second, // as in the reference
            request.get(Parameters.MAX_SEQUENCE_LENGTH).intValue()));
  }
}
