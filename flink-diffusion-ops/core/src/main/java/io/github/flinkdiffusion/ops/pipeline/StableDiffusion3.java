/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.network.Sd3Transformer;
import io.github.flinkdiffusion.ops.network.Sd3TransformerConfig;
import io.github.flinkdiffusion.ops.weights.Config;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Stable Diffusion 3 and 3.5 (diffusers' StableDiffusion3Pipeline and its Img2Img): the states of
 * two CLIP encoders side by side, then those of T5, zeros without one; and the projected states of
 * both texts' ends.
 */
final class StableDiffusion3 implements Conditioning {
  /** Which input of a row says what layers it goes through. */
  private static final int KEPT = 2;

  private static final List<Parameter<?>> ABOUT_LAYERS =
      List.of(
          Parameters.SKIP_LAYER_GUIDANCE_SCALE,
          Parameters.SKIP_LAYER_GUIDANCE_START,
          Parameters.SKIP_LAYER_GUIDANCE_STOP);

  private final PromptEncoder first;
  private final PromptEncoder second;
  private final Optional<T5Prompts> third;
  private final int contextSize;

  /** Of a row that goes through all layers. */
  private final float[] allKept;

  private StableDiffusion3(
      PromptEncoder first,
      PromptEncoder second,
      Optional<T5Prompts> third,
      Sd3TransformerConfig transformer) {
    this.first = first;
    this.second = second;
    this.third = third;
    this.contextSize = transformer.contextSize();
    this.allKept = new float[transformer.layers()];
    Arrays.fill(allKept, 1);
  }

  static Task open(Components components) {
    Config config = components.config("transformer", "SD3Transformer2DModel");
    Sd3TransformerConfig transformer = Sd3TransformerConfig.from(config);
    PromptEncoder first = PromptEncoder.openInnerAndPooled(components, "tokenizer", "text_encoder");
    PromptEncoder second = PromptEncoder.openInnerAndPooled(components);
    Optional<T5Prompts> third =
        !components.folder().has("text_encoder_3")
            ? Optional.empty()
            : Optional.of(T5Prompts.open(components, "tokenizer_3", "text_encoder_3"));
    int size = transformer.contextSize();
    int clip = first.hiddenSize() + second.hiddenSize();
    if (clip > size || third.isPresent() && third.get().hiddenSize() != size) {
      throw config.unsupported(
          "joint_attention_dim",
          size,
          "T5's d_model, and at least the hidden sizes of both CLIP encoders together, " + clip);
    }
    if (first.pooledSize() + second.pooledSize() != transformer.pooledSize()) {
      throw config.unsupported(
          "pooled_projection_dim",
          transformer.pooledSize(),
          "projection_dim of both CLIP encoders together, "
              + (first.pooledSize() + second.pooledSize()));
    }
    Autoencoder autoencoder = Autoencoder.openShifted(components);
    return TextTransformer.open(
        components,
        new TextTransformer.Family(
                "StableDiffusion3Pipeline", TextTransformer.Way.OF_CONFIG_SHIFTED, 28, 0.6, 0.6)
            .withUnshiftedMasks(),
        new TextTransformer.Transformer(
            new Sd3Transformer(transformer),
            "num_layers",
            transformer.inChannels(),
            transformer.patchSize(),
            transformer.sampleSize() * autoencoder.format().scaleFactor()),
        new StableDiffusion3(first, second, third, transformer),
        autoencoder);
  }

  @Override
  public Signature describe(Signature signature) {
    return signature
        .withDefault(Parameters.NEGATIVE_PROMPT, "")
        .withDefault(Parameters.PROMPT_2, "the prompt", asked -> asked.get(Parameters.PROMPT))
        .withDefault(Parameters.PROMPT_3, "the prompt", asked -> asked.get(Parameters.PROMPT))
        .withDefault(
            Parameters.NEGATIVE_PROMPT_2,
            "the negativePrompt",
            asked -> asked.get(Parameters.NEGATIVE_PROMPT))
        .withDefault(
            Parameters.NEGATIVE_PROMPT_3,
            "the negativePrompt",
            asked -> asked.get(Parameters.NEGATIVE_PROMPT))
        .optional(Parameters.CLIP_SKIP)
        .withDefault(Parameters.GUIDANCE_SCALE, 7.0)
        .withDefault(Parameters.MAX_SEQUENCE_LENGTH, 256L)
        .optional(Parameters.SKIP_GUIDANCE_LAYERS)
        .withDefault(
            Parameters.SKIP_LAYER_GUIDANCE_SCALE,
            "2.8 with skipGuidanceLayers",
            asked -> withLayers(asked, 2.8))
        .withDefault(
            Parameters.SKIP_LAYER_GUIDANCE_START,
            "0.01 with skipGuidanceLayers",
            asked -> withLayers(asked, 0.01))
        .withDefault(
            Parameters.SKIP_LAYER_GUIDANCE_STOP,
            "0.2 with skipGuidanceLayers",
            asked -> withLayers(asked, 0.2));
  }

  private static Double withLayers(Arguments asked, double value) {
    return asked.has(Parameters.SKIP_GUIDANCE_LAYERS) ? value : null;
  }

  @Override
  public void check(GenerationRequest request) {
    first.checkClipSkip(request);
    second.checkClipSkip(request);
    Numbers layers = request.get(Parameters.SKIP_GUIDANCE_LAYERS);
    if (layers == null) {
      for (Parameter<?> about : ABOUT_LAYERS) {
        if (request.get(about) != null) {
          throw new InvalidRequestException(
              "The request has a %s but no skipGuidanceLayers.".formatted(about));
        }
      }
      return;
    }
    if (request.get(Parameters.IMAGE) != null) {
      throw new InvalidRequestException(
          "The request has skipGuidanceLayers and an image; layers are left out for requests"
              + " without an image, as in diffusers.");
    }
    for (double layer : layers.values()) {
      if (layer >= allKept.length) {
        throw new InvalidRequestException(
            "skipGuidanceLayers has %d; the transformer has layers 0 to %d."
                .formatted((int) layer, allKept.length - 1));
      }
    }
  }

  @Override
  public Denoiser.Input[] inputs() {
    return new Denoiser.Input[] {
      Denoiser.Input.vectors(contextSize),
      Denoiser.Input.floats(first.pooledSize() + second.pooledSize()),
      Denoiser.Input.floats(allKept.length)
    };
  }

  /** Steps i of n, counted from 0, with n start < i < n stop, as in the reference. */
  @Override
  public Optional<Beginning.Stretch> stretch(GenerationRequest request, Conditions conditions) {
    Numbers layers = request.get(Parameters.SKIP_GUIDANCE_LAYERS);
    if (layers == null || request.guidanceScale() <= 1) {
      return Optional.empty();
    }
    int steps = request.steps();
    int from = (int) Math.floor(steps * request.get(Parameters.SKIP_LAYER_GUIDANCE_START)) + 1;
    int to = (int) Math.ceil(steps * request.get(Parameters.SKIP_LAYER_GUIDANCE_STOP));
    if (from >= to) {
      return Optional.empty();
    }
    float[] kept = allKept.clone();
    for (double layer : layers.values()) {
      kept[(int) layer] = 0;
    }
    List<Row> rows = new ArrayList<>(conditions.rows());
    rows.add(conditions.conditional().withInput(KEPT, kept));
    Guidance guidance =
        new Guidance.SkippingLayers(
            request.guidanceScale(), request.get(Parameters.SKIP_LAYER_GUIDANCE_SCALE));
    return Optional.of(
        new Beginning.Stretch(
            new Beginning.Calls(from, to), new Conditions(rows, guidance, conditions.truncated())));
  }

  /** One row's texts, for each text encoder. */
  private record Texts(Prompt first, Prompt second, T5Prompts.Text third) {}

  @Override
  public long tokens(GenerationRequest request) {
    return third.isEmpty() ? 0 : (long) length(request) * (request.guidanceScale() > 1 ? 2 : 1);
  }

  @Override
  public List<Conditions> encode(List<GenerationRequest> requests) {
    List<Texts> texts = new ArrayList<>();
    for (GenerationRequest request : requests) {
      texts.add(wanted(request));
      if (request.guidanceScale() > 1) {
        texts.add(unwanted(request));
      }
    }
    Map<Prompt, PromptEncoding> a = first.encodeSkipping(texts.stream().map(Texts::first).toList());
    Map<Prompt, PromptEncoding> b =
        second.encodeSkipping(texts.stream().map(Texts::second).toList());
    Map<T5Prompts.Text, PromptEncoding> c =
        third.map(each -> each.encode(texts.stream().map(Texts::third).toList())).orElse(Map.of());
    // Requests with the same texts share what they are conditioned on, which is megabytes.
    Map<Texts, PromptEncoding> joined = new LinkedHashMap<>();
    for (Texts each : texts) {
      joined.computeIfAbsent(
          each, all -> joined(a.get(all.first), b.get(all.second), c.get(all.third), all));
    }
    return requests.stream().map(request -> conditions(request, joined)).toList();
  }

  private Conditions conditions(GenerationRequest request, Map<Texts, PromptEncoding> joined) {
    PromptEncoding wanted = joined.get(wanted(request));
    Row row = row(wanted);
    if (request.guidanceScale() <= 1) {
      return new Conditions(List.of(row), Guidance.NONE, wanted.truncated());
    }
    PromptEncoding unwanted = joined.get(unwanted(request));
    return new Conditions(
        List.of(row(unwanted), row),
        Guidance.classifierFree(request.guidanceScale()),
        wanted.truncated() || unwanted.truncated());
  }

  private Row row(PromptEncoding texts) {
    return Row.of(texts.states(), texts.pooled(), allKept)
        .ofTokens(texts.states().length / contextSize);
  }

  private static Texts wanted(GenerationRequest request) {
    Prompt own = Prompt.wanted(request);
    return new Texts(
        own,
        new Prompt(or(request.get(Parameters.PROMPT_2), own.text()), own.clipSkip()),
        new T5Prompts.Text(or(request.get(Parameters.PROMPT_3), own.text()), length(request)));
  }

  private static Texts unwanted(GenerationRequest request) {
    Prompt own = Prompt.unwanted(request);
    return new Texts(
        own,
        new Prompt(or(request.get(Parameters.NEGATIVE_PROMPT_2), own.text()), 0),
        new T5Prompts.Text(
            or(request.get(Parameters.NEGATIVE_PROMPT_3), own.text()), length(request)));
  }

  /** An empty text is none, as in the reference. */
  private static String or(String text, String other) {
    return text.isEmpty() ? other : text;
  }

  private static int length(GenerationRequest request) {
    return request.get(Parameters.MAX_SEQUENCE_LENGTH).intValue();
  }

  /** CLIP's tokens, filled up with zeros, then T5's. */
  private PromptEncoding joined(PromptEncoding a, PromptEncoding b, PromptEncoding c, Texts of) {
    int tokens = first.length();
    int sizeA = first.hiddenSize();
    int sizeB = second.hiddenSize();
    float[] states = new float[(tokens + of.third().length()) * contextSize];
    for (int token = 0; token < tokens; token++) {
      int at = token * contextSize;
      System.arraycopy(a.states(), token * sizeA, states, at, sizeA);
      System.arraycopy(b.states(), token * sizeB, states, at + sizeA, sizeB);
    }
    if (c != null) {
      System.arraycopy(c.states(), 0, states, tokens * contextSize, c.states().length);
    }
    float[] pooled = new float[a.pooled().length + b.pooled().length];
    System.arraycopy(a.pooled(), 0, pooled, 0, a.pooled().length);
    System.arraycopy(b.pooled(), 0, pooled, a.pooled().length, b.pooled().length);
    return new PromptEncoding(
        states, pooled, a.truncated() || b.truncated() || c != null && c.truncated());
  }
}
