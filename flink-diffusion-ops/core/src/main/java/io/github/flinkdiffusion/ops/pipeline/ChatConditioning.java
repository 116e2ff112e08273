/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.network.CausalTextConfig;
import io.github.flinkdiffusion.ops.network.QwenImage;
import io.github.flinkdiffusion.ops.network.QwenImageConfig;
import io.github.flinkdiffusion.ops.network.ZImage;
import io.github.flinkdiffusion.ops.network.ZImageConfig;
import io.github.flinkdiffusion.ops.weights.Config;
import java.util.ArrayList;
import java.util.List;

/**
 * Texts for Qwen's language models, in the form of a chat: Z-Image and Qwen-Image. Rows of one call
 * may have texts of different lengths.
 */
final class ChatConditioning extends LanguageModelConditioning {
  private static final String USER = "<|im_start|>user\n%s<|im_end|>\n<|im_start|>assistant\n";
  private static final String DESCRIBE =
      "<|im_start|>system\n"
          + "Describe the image by detailing the color, shape, size, texture, quantity, text,"
          + " spatial relationships of the objects and background:<|im_end|>\n";

  /**
   * How a family asks the language model.
   *
   * @param template around a prompt, which stands for {@code %s}
   * @param most tokens of the whole
   * @param dropped tokens before those whose states the transformer sees
   * @param seen states that it sees at most
   * @param filled what a row's number of states is rounded up to, with zeros
   */
  private record Chat(String template, int most, int dropped, int seen, int filled) {}

  /**
   * What Qwen 3's own template writes for one message, and all of its states but the last layer's.
   */
  private static final Chat Z_IMAGE = new Chat(USER, 512, 0, 512, ZImage.TOKENS);

  /** 34 tokens are the template's before the prompt. */
  private static final Chat QWEN_IMAGE = new Chat(DESCRIBE + USER, 1024 + 34, 34, 512, 1);

  private final Chat chat;
  private final int mostPatches;
  private final int factor;
  private final int patch;

  /** Channels of the latent. */
  private final int channels;

  private ChatConditioning(
      Chat chat, LanguageModel model, int mostPatches, int factor, int patch, int channels) {
    super(model);
    this.chat = chat;
    this.mostPatches = mostPatches;
    this.factor = factor;
    this.patch = patch;
    this.channels = channels;
  }

  /** ZImagePipeline, with an image as ZImageImg2ImgPipeline and ZImageInpaintPipeline. */
  static Task openZImage(Components components) {
    Config json = components.config("transformer", "ZImageTransformer2DModel");
    ZImageConfig config = ZImageConfig.from(json);
    Autoencoder autoencoder = Autoencoder.openShifted(components);
    LanguageModel model =
        LanguageModel.open(
            components,
            LanguageModel.qwen(components),
            CausalTextConfig.Type.QWEN3,
            LanguageModel.Taken.LAST_BUT_ONE,
            Z_IMAGE.most(),
            "Qwen3Model",
            "Qwen3ForCausalLM");
    model.requireSize(json, "cap_feat_dim", config.textSize());
    if (config.maxTextPositions() < Z_IMAGE.most() + 2) {
      throw json.unsupported(
          "axes_lens", json.node().get("axes_lens"), "at least 514 places of a text");
    }
    int factor = autoencoder.format().scaleFactor() * config.patchSize();
    return TextTransformer.open(
        components,
        new TextTransformer.Family("ZImagePipeline", TextTransformer.Way.OF_FLOW, 50, 0.6, 1.0),
        new TextTransformer.Transformer(
            new ZImage(config), "n_layers", config.channels(), config.patchSize(), 1024),
        new ChatConditioning(
            Z_IMAGE, model, config.maxSide(), factor, config.patchSize(), config.channels()),
        autoencoder);
  }

  /** QwenImagePipeline, with an image as QwenImageImg2ImgPipeline and QwenImageInpaintPipeline. */
  static Task openQwenImage(Components components) {
    Config json = components.config("transformer", "QwenImageTransformer2DModel");
    QwenImageConfig config = QwenImageConfig.from(json);
    if (config.outChannels() != config.latentChannels()) {
      throw json.unsupported(
          "out_channels", config.outChannels(), "in_channels by patch, " + config.latentChannels());
    }
    Autoencoder autoencoder = Autoencoder.openQwenImage(components);
    LanguageModel model =
        LanguageModel.open(
            components,
            LanguageModel.qwen(components),
            CausalTextConfig.Type.QWEN2,
            LanguageModel.Taken.LAST,
            QWEN_IMAGE.most(),
            "Qwen2_5_VLForConditionalGeneration");
    model.requireSize(json, "joint_attention_dim", config.textSize());
    int scale = autoencoder.format().scaleFactor();
    // A text begins behind half of the longer side.
    int most = 2 * (QwenImageConfig.PLACES - QWEN_IMAGE.seen());
    return TextTransformer.open(
        components,
        new TextTransformer.Family("QwenImagePipeline", TextTransformer.Way.OF_FLOW, 50, 0.6, 0.6),
        new TextTransformer.Transformer(
            new QwenImage(config),
            "num_layers",
            config.latentChannels(),
            config.patchSize(),
            128 * scale),
        new ChatConditioning(
            QWEN_IMAGE,
            model,
            most,
            scale * config.patchSize(),
            config.patchSize(),
            config.latentChannels()),
        autoencoder);
  }

  private boolean isZImage() {
    return chat == Z_IMAGE;
  }

  @Override
  public Signature describe(Signature signature) {
    return isZImage()
        ? signature
            .withDefault(Parameters.NEGATIVE_PROMPT, "")
            .withDefault(Parameters.GUIDANCE_SCALE, 5.0)
        : signature
            .optional(Parameters.NEGATIVE_PROMPT)
            .withDefault(Parameters.TRUE_CFG_SCALE, 4.0);
  }

  @Override
  public void check(GenerationRequest request) {
    int longer = Math.max(request.width(), request.height()) / factor;
    if (longer > mostPatches) {
      throw new InvalidRequestException(
          "The image is %d x %d pixels; the model has positions for sides of up to %d."
              .formatted(request.width(), request.height(), mostPatches * factor));
    }
  }

  @Override
  Guidance guidance(GenerationRequest request) {
    if (isZImage()) {
      double scale = request.guidanceScale();
      return scale > 0 ? Guidance.classifierFree(1 + scale) : Guidance.NONE;
    }
    double scale = request.get(Parameters.TRUE_CFG_SCALE);
    if (scale <= 1 || request.get(Parameters.NEGATIVE_PROMPT) == null) {
      return Guidance.NONE;
    }
    SampleShape patches =
        new SampleShape(
            channels, request.height() / factor * patch, request.width() / factor * patch);
    return new Guidance.ByPatches(scale, patches, patch);
  }

  @Override
  List<Asked> texts(GenerationRequest request) {
    List<Asked> own = new ArrayList<>();
    if (guidance(request).rows() == 2) {
      own.add(asked(request.get(Parameters.NEGATIVE_PROMPT)));
    }
    own.add(asked(request.get(Parameters.PROMPT)));
    return own;
  }

  private Asked asked(String prompt) {
    LanguageModel.Tokens tokens = model.tokens(chat.template().formatted(prompt), chat.most());
    boolean cut = tokens.ids().size() > chat.dropped() + chat.seen();
    return new Asked(
        new LanguageModel.Tokens(tokens.ids(), tokens.truncated() || cut), chat.dropped());
  }

  @Override
  Row row(float[] states, int skipped) {
    int size = model.size();
    int seen = Math.min(chat.seen(), states.length / size - skipped);
    int filled = (seen + chat.filled() - 1) / chat.filled() * chat.filled();
    float[] own = new float[filled * size];
    System.arraycopy(states, skipped * size, own, 0, seen * size);
    return Row.of(own, new float[] {seen});
  }
}
