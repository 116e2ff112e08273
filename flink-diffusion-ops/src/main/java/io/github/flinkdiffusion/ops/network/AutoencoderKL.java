package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.torchscript.Graph;
import io.github.flinkdiffusion.ops.torchscript.Method;
import io.github.flinkdiffusion.ops.torchscript.Value;
import java.util.List;

/** diffusers' AutoencoderKL: pictures to latents and back. */
public final class AutoencoderKL {
  /** The method that decodes latents. */
  public static final String DECODE = "decode";

  /** The method that encodes pictures. */
  public static final String ENCODE = "encode";

  /** Encoder, Decoder and their attention have this epsilon fixed in code. */
  private static final double EPSILON = 1e-6;

  private final AutoencoderKLConfig config;

  public AutoencoderKL(AutoencoderKLConfig config) {
    this.config = config;
  }

  /**
   * A graph with the method {@link #DECODE} alone: unscaled latents [N,latent,h,w] to pictures
   * [N,out,H,W] in about -1..1.
   */
  public Graph decoderGraph() {
    Graph graph = new Graph();
    addDecode(graph);
    return graph;
  }

  /**
   * A graph with {@link #ENCODE} (pictures in -1..1 to moments [N,2*latent,h,w]: means, then log
   * variances) and {@link #DECODE}.
   */
  public Graph graph() {
    Graph graph = new Graph();
    Method encode = graph.method(ENCODE);
    Value image = encode.input("image");
    encode.returns(encode.toFloat(encode(new Scope(encode, ""), image)));
    addDecode(graph);
    return graph;
  }

  private void addDecode(Graph graph) {
    Method decode = graph.method(DECODE);
    Value latent = decode.input("latent");
    decode.returns(decode.toFloat(decode(new Scope(decode, ""), latent)));
  }

  /** Adds the encoder to a method: [N,in,H,W] to moments [N,2*latent,h,w]. */
  public Value encode(Scope at, Value image) {
    Scope encoder = at.child("encoder");
    Method m = at.method();
    List<Integer> blocks = config.blockOutChannels();
    int channels = blocks.get(0);
    Value x = m.castAs(image, encoder.parameter("conv_in.bias", channels));
    x = encoder.conv3x3("conv_in", x, config.inChannels(), channels);
    for (int level = 0; level < blocks.size(); level++) {
      Scope block = encoder.child("down_blocks", level);
      int out = blocks.get(level);
      for (int i = 0; i < config.layersPerBlock(); i++) {
        x = resnet(channels, out).emit(block.child("resnets", i), x, null);
        channels = out;
      }
      if (level < blocks.size() - 1) {
        // Padded on the right and below only, as the reference's Downsample2D with padding 0.
        x =
            block
                .child("downsamplers.0")
                .conv2d("conv", m.pad(x, 0, 1, 0, 1), channels, channels, 3, 2, 0);
      }
    }
    x = mid(encoder.child("mid_block"), x, channels);
    x =
        config
            .activation()
            .apply(m, encoder.groupNorm("conv_norm_out", x, channels, config.groups(), EPSILON));
    int moments = 2 * config.latentChannels();
    x = encoder.conv3x3("conv_out", x, channels, moments);
    return config.quantConv() ? at.conv1x1("quant_conv", x, moments, moments) : x;
  }

  /** Adds the decoder to a method: unscaled latents [N,latent,h,w] to [N,out,H,W]. */
  public Value decode(Scope at, Value latent) {
    Scope decoder = at.child("decoder");
    Method m = at.method();
    List<Integer> blocks = config.blockOutChannels();
    int levels = blocks.size();
    int channels = blocks.get(levels - 1);
    Value x = m.castAs(latent, decoder.parameter("conv_in.bias", channels));
    if (config.postQuantConv()) {
      x = at.conv1x1("post_quant_conv", x, config.latentChannels(), config.latentChannels());
    }
    x = decoder.conv3x3("conv_in", x, config.latentChannels(), channels);
    x = mid(decoder.child("mid_block"), x, channels);
    for (int up = 0; up < levels; up++) {
      Scope block = decoder.child("up_blocks", up);
      int out = blocks.get(levels - 1 - up);
      for (int i = 0; i <= config.layersPerBlock(); i++) {
        x = resnet(channels, out).emit(block.child("resnets", i), x, null);
        channels = out;
      }
      if (up < levels - 1) {
        x =
            block
                .child("upsamplers.0")
                .conv3x3("conv", m.upsampleNearest(x, 2), channels, channels);
      }
    }
    x =
        config
            .activation()
            .apply(m, decoder.groupNorm("conv_norm_out", x, channels, config.groups(), EPSILON));
    return decoder.conv3x3("conv_out", x, channels, config.outChannels());
  }

  private Value mid(Scope mid, Value x, int channels) {
    x = resnet(channels, channels).emit(mid.child("resnets", 0), x, null);
    if (config.midBlockAttention()) {
      x = attention(mid.child("attentions", 0), x, channels);
    }
    return resnet(channels, channels).emit(mid.child("resnets", 1), x, null);
  }

  /** One head over all pixels, with the shortcut around it. */
  private Value attention(Scope at, Value x, int channels) {
    Method m = at.method();
    Value h = at.tokens(at.groupNorm("group_norm", x, channels, config.groups(), EPSILON));
    Value q = at.linear("to_q", h, channels, channels);
    Value k = at.linear("to_k", h, channels, channels);
    Value v = at.linear("to_v", h, channels, channels);
    Value attended =
        at.linear("to_out.0", at.heads(q, k, v, 1, channels, false), channels, channels);
    return m.add(at.image(attended, x), x);
  }

  private ResnetBlock resnet(int in, int out) {
    return new ResnetBlock(in, out, 0, config.groups(), EPSILON, config.activation());
  }
}
