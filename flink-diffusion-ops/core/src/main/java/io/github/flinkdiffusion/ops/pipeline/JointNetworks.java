/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.engine.Network;
import io.github.flinkdiffusion.ops.engine.Tensor;
import io.github.flinkdiffusion.ops.image.ImageException;
import io.github.flinkdiffusion.ops.image.PilResize;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.network.ClipVision;
import io.github.flinkdiffusion.ops.network.ClipVisionConfig;
import io.github.flinkdiffusion.ops.network.TextDecoder;
import io.github.flinkdiffusion.ops.network.TextDecoderConfig;
import io.github.flinkdiffusion.ops.network.UniDiffuser;
import io.github.flinkdiffusion.ops.network.UniDiffuserConfig;
import io.github.flinkdiffusion.ops.tokenizer.GptTokenizer;
import io.github.flinkdiffusion.ops.weights.Config;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * The networks of diffusers' UniDiffuserPipeline, and what a call of each takes and gives. Device
 * thread, except for the checks.
 */
final class JointNetworks implements AutoCloseable {
  /** Tokens of a text at most; diffusers has no parameter for it. */
  static final int MOST_TOKENS = 67;

  private static final int BEAMS = 5;

  private static final String UNET = "unet";
  private static final String DECODER = "text_decoder";

  private final Components components;
  private final UniDiffuserConfig config;
  private final TextDecoderConfig texts;
  private final SamplingPlans plans;
  private final PromptEncoder prompts;
  private final ClipImageProcessor processor;
  private final Network imageEncoder;
  private final Autoencoder autoencoder;
  private final Network denoiser;
  private final Network decoder;
  private final GptTokenizer tokenizer;
  private final AverageBeams beams;
  private final int side;
  private final int trainedSteps;

  JointNetworks(Components components) {
    this.components = components;
    this.plans = SamplingPlans.open(components);
    this.trainedSteps = components.config("scheduler").integer("num_train_timesteps", 1000);
    Config unet = components.config(UNET, "UniDiffuserModel");
    this.config = UniDiffuserConfig.from(unet);
    Config gpt = components.config(DECODER, "UniDiffuserTextDecoder");
    this.texts = TextDecoderConfig.from(gpt);
    this.prompts = PromptEncoder.open(components, "clip_tokenizer");
    ClipVisionConfig vision =
        ClipVisionConfig.from(components.config("image_encoder", "CLIPVisionModelWithProjection"));
    this.processor =
        ClipImageProcessor.from(
            components.config("clip_image_processor", ClipImageProcessor.CLASSES),
            vision.imageSize());
    components.requireClass("vae", "AutoencoderKL");
    components.requireClass("text_tokenizer", "GPT2Tokenizer", "GPT2TokenizerFast");
    this.tokenizer = GptTokenizer.load(components.folder().component("text_tokenizer"));
    this.beams = new AverageBeams(BEAMS, MOST_TOKENS, tokenizer.end());
    requireFits(unet, gpt, vision);
    this.autoencoder = Autoencoder.open(components);
    if (config.channels() != autoencoder.format().latentChannels()) {
      throw unet.unsupported(
          "in_channels",
          config.channels(),
          "the vae's latent_channels, " + autoencoder.format().latentChannels());
    }
    this.side = config.sampleSize() * autoencoder.format().scaleFactor();
    this.imageEncoder = components.load("image_encoder", new ClipVision(vision).graph());
    this.denoiser = components.load(UNET, new UniDiffuser(config).graph());
    this.decoder = components.load(DECODER, new TextDecoder(texts).graph());
  }

  private void requireFits(Config unet, Config gpt, ClipVisionConfig vision) {
    if (config.imageSize() != vision.projectionSize()) {
      throw unet.unsupported(
          "clip_img_dim",
          config.imageSize(),
          "the image encoder's projection_dim, " + vision.projectionSize());
    }
    if (texts.prefixSize() != prompts.hiddenSize()) {
      throw gpt.unsupported(
          "prefix_inner_dim",
          texts.prefixSize(),
          "the text encoder's hidden_size, " + prompts.hiddenSize());
    }
    if (config.textSize() != texts.stateSize()) {
      throw unet.unsupported(
          "text_dim",
          config.textSize(),
          "the text decoder's prefix_hidden_dim, or prefix_inner_dim without one, "
              + texts.stateSize());
    }
    if (config.textTokens() != prompts.length()) {
      throw unet.unsupported(
          "num_text_tokens",
          config.textTokens(),
          "the tokenizer's model_max_length, " + prompts.length());
    }
    int positions = config.textTokens() + MOST_TOKENS - 1;
    if (texts.positions() < positions) {
      throw gpt.unsupported(
          "n_positions",
          texts.positions(),
          "at least %d, for a prefix of %d and %d tokens"
              .formatted(positions, config.textTokens(), MOST_TOKENS - 1));
    }
    int least = Math.max(BEAMS, tokenizer.end() + 1);
    if (texts.vocabulary() < least) {
      throw gpt.unsupported(
          "vocab_size", texts.vocabulary(), "at least %d, with the end token".formatted(least));
    }
  }

  SamplingPlans plans() {
    return plans;
  }

  AverageBeams beams() {
    return beams;
  }

  /** Of the images that are generated, and looked at. */
  int side() {
    return side;
  }

  boolean hasDataType() {
    return config.dataType();
  }

  /** The timestep of what is nothing but noise: {@code num_train_timesteps}. */
  int noiseTimestep() {
    return trainedSteps;
  }

  SampleShape latent() {
    return autoencoder.latent(side, side);
  }

  /** Of CLIP's view of an image. */
  SampleShape image() {
    return new SampleShape(1, 1, config.imageSize());
  }

  /** Of a text as the denoising network has it. */
  SampleShape text() {
    return new SampleShape(1, config.textTokens(), config.textSize());
  }

  /** Of a text before {@link #smaller}. */
  SampleShape wholeText() {
    return new SampleShape(1, config.textTokens(), texts.prefixSize());
  }

  /** Numbers of one row of a call of {@link #noise}. */
  int rowSize() {
    return latent().size() + image().size() + text().size();
  }

  /** Refuses an image that the processor does not take. */
  void check(Raster image) {
    try {
      processor.check(image);
    } catch (ImageException e) {
      throw new InvalidRequestException(e.getMessage());
    }
  }

  /** The texts' encodings, each {@link #wholeText}. */
  List<PromptEncoding> encode(List<String> prompt) {
    var encoded = prompts.encode(prompt);
    return prompt.stream().map(encoded::get).toList();
  }

  /** Texts, or noise in place of them, as the denoising network has them. */
  List<float[]> smaller(List<float[]> whole) {
    if (whole.isEmpty() || texts.smallSize() == 0) {
      return whole;
    }
    int size = wholeText().size();
    float[] all = new float[whole.size() * size];
    for (int i = 0; i < whole.size(); i++) {
      System.arraycopy(whole.get(i), 0, all, i * size, size);
    }
    float[] encoded =
        decoder
            .call(
                TextDecoder.ENCODE,
                new HostTensor.Floats(all, whole.size(), config.textTokens(), texts.prefixSize()))
            .data();
    return parts(encoded, whole.size());
  }

  /**
   * The image as large as those that are generated, by PIL's default filter, which is bicubic:
   * diffusers takes no other size.
   */
  Raster resized(Raster image) {
    return image.width() == side && image.height() == side
        ? image
        : PilResize.resize(image, side, side, PilResize.Filter.BICUBIC);
  }

  List<Autoencoder.Moments> latents(List<Raster> resized) {
    return autoencoder.encode(resized);
  }

  /** CLIP's views of images. */
  List<float[]> views(List<Raster> resized) {
    return parts(
        imageEncoder.call(ClipVision.FORWARD, processor.pixels(resized)).data(), resized.size());
  }

  private static List<float[]> parts(float[] all, int count) {
    int size = all.length / count;
    List<float[]> parts = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      parts.add(Arrays.copyOfRange(all, i * size, (i + 1) * size));
    }
    return parts;
  }

  /**
   * A row of a call of the denoising network.
   *
   * @param latent of the image
   * @param image CLIP's view of it
   * @param imageTime how noisy these two are
   * @param textTime how noisy the text is
   */
  record Row(
      float[] latent,
      float[] image,
      float[] text,
      double imageTime,
      double textTime,
      long dataType) {}

  /** The noise of each row: that of the latent, of the view and of the text, [rows, rowSize]. */
  float[] noise(List<Row> rows) {
    int n = rows.size();
    SampleShape latent = latent();
    float[] latents = new float[n * latent.size()];
    float[] images = new float[n * image().size()];
    float[] words = new float[n * text().size()];
    float[] imageTimes = new float[n];
    float[] textTimes = new float[n];
    long[] types = new long[n];
    for (int i = 0; i < n; i++) {
      Row row = rows.get(i);
      System.arraycopy(row.latent(), 0, latents, i * latent.size(), latent.size());
      System.arraycopy(row.image(), 0, images, i * image().size(), image().size());
      System.arraycopy(row.text(), 0, words, i * text().size(), text().size());
      imageTimes[i] = (float) row.imageTime();
      textTimes[i] = (float) row.textTime();
      types[i] = row.dataType();
    }
    List<Tensor> arguments = new ArrayList<>();
    arguments.add(
        new HostTensor.Floats(latents, n, latent.channels(), latent.height(), latent.width()));
    arguments.add(new HostTensor.Floats(images, n, config.imageSize()));
    arguments.add(new HostTensor.Floats(words, n, config.textTokens(), config.textSize()));
    arguments.add(new HostTensor.Floats(imageTimes, n));
    arguments.add(new HostTensor.Floats(textTimes, n));
    if (config.dataType()) {
      arguments.add(new HostTensor.Longs(types, n));
    }
    return denoiser.call("forward", arguments.toArray(Tensor[]::new)).data();
  }

  /**
   * A text under way.
   *
   * @param prefix {@link #text}
   */
  record Written(float[] prefix, int[] tokens) {}

  /** Scores of each text's next token, [rows, vocabulary]. */
  HostTensor.Floats scores(List<Written> rows) {
    int n = rows.size();
    int size = text().size();
    // A text without a token gets one that it does not see.
    int longest = Math.max(1, rows.stream().mapToInt(row -> row.tokens().length).max().orElse(0));
    float[] prefixes = new float[n * size];
    long[] ids = new long[n * longest];
    long[] last = new long[n];
    for (int i = 0; i < n; i++) {
      Written row = rows.get(i);
      System.arraycopy(row.prefix(), 0, prefixes, i * size, size);
      for (int j = 0; j < row.tokens().length; j++) {
        ids[i * longest + j] = row.tokens()[j];
      }
      last[i] = config.textTokens() + row.tokens().length - 1L;
    }
    return decoder.call(
        TextDecoder.NEXT,
        new HostTensor.Floats(prefixes, n, config.textTokens(), config.textSize()),
        new HostTensor.Longs(ids, n, longest),
        new HostTensor.Longs(last, n));
  }

  /** A finished text, without special tokens. */
  GeneratedText written(List<AverageBeams.Beam> beam) {
    AverageBeams.Beam best = AverageBeams.result(beam);
    return new GeneratedText(
        tokenizer.decode(Arrays.copyOf(best.tokens(), best.length())),
        best.length() - (best.ended() ? 1 : 0),
        best.ended());
  }

  /** Latents to images, [N, channels, height, width], about 0..1. */
  HostTensor.Floats decode(List<Sample> latents) {
    return autoencoder.decode(latents);
  }

  @Override
  public void close() {
    components.close();
  }
}
