/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Value;
import org.apache.flink.annotation.Internal;

/** diffusers' AutoencoderKL: pictures to latents and back. */
@Internal
public final class AutoencoderKL {
  /** The method that decodes latents. */
  public static final String DECODE = "decode";

  /** The method that encodes pictures. */
  public static final String ENCODE = "encode";

  private final AutoencoderKLConfig config;
  private final ImageCoder coder;

  public AutoencoderKL(AutoencoderKLConfig config) {
    this.config = config;
    this.coder =
        new ImageCoder(
            config.blockOutChannels(),
            config.layersPerBlock(),
            config.groups(),
            config.activation(),
            config.midBlockAttention());
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
    Value image = encode.input("image", 4);
    encode.returns(encode.toFloat(encode(new Scope(encode, ""), image)));
    addDecode(graph);
    return graph;
  }

  private void addDecode(Graph graph) {
    Method decode = graph.method(DECODE);
    Value latent = decode.input("latent", 4);
    decode.returns(decode.toFloat(decode(new Scope(decode, ""), latent)));
  }

  /** Adds the encoder to a method: [N,in,H,W] to moments [N,2*latent,h,w]. */
  public Value encode(Scope at, Value image) {
    int moments = 2 * config.latentChannels();
    Value x = coder.encode(at.child("encoder"), image, config.inChannels(), moments);
    return config.quantConv() ? at.conv1x1("quant_conv", x, moments, moments) : x;
  }

  /** Adds the decoder to a method: unscaled latents [N,latent,h,w] to [N,out,H,W]. */
  public Value decode(Scope at, Value latent) {
    Scope decoder = at.child("decoder");
    int last = config.blockOutChannels().get(config.blockOutChannels().size() - 1);
    int channels = config.latentChannels();
    Value x = at.method().castAs(latent, decoder.parameter("conv_in.bias", last));
    if (config.postQuantConv()) {
      x = at.conv1x1("post_quant_conv", x, channels, channels);
    }
    return coder.decode(decoder, x, channels, config.outChannels());
  }
}
