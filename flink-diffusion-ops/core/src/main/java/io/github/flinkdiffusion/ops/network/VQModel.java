/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Value;
import org.apache.flink.annotation.Internal;

/** diffusers' VQModel: an autoencoder whose latents are entries of a codebook. */
@Internal
public final class VQModel {
  /** The method that encodes pictures. */
  public static final String ENCODE = "encode";

  /** The method that replaces each latent by the nearest entry of the codebook, then decodes. */
  public static final String DECODE = "decode";

  /** The method that decodes latents as they are. */
  public static final String DECODE_UNQUANTIZED = "decode_unquantized";

  private final VQModelConfig config;
  private final ImageCoder coder;

  public VQModel(VQModelConfig config) {
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
   * A graph with {@link #ENCODE} (pictures [N,in,H,W] in -1..1 to latents [N,code,h,w], not
   * quantised), {@link #DECODE} and {@link #DECODE_UNQUANTIZED} (latents to pictures).
   */
  public Graph graph() {
    Graph graph = new Graph();
    Method encode = graph.method(ENCODE);
    Value image = encode.input("image", 4);
    encode.returns(encode.toFloat(encode(new Scope(encode, ""), image)));
    addDecode(graph, DECODE, true);
    addDecode(graph, DECODE_UNQUANTIZED, false);
    return graph;
  }

  private void addDecode(Graph graph, String name, boolean quantize) {
    Method decode = graph.method(name);
    Value latent = decode.input("latent", 4);
    decode.returns(decode.toFloat(decode(new Scope(decode, ""), latent, quantize)));
  }

  /** Adds the encoder to a method: [N,in,H,W] to latents [N,code,h,w]. */
  public Value encode(Scope at, Value image) {
    int latent = config.latentChannels();
    Value x = coder.encode(at.child("encoder"), image, config.inChannels(), latent);
    return at.conv1x1("quant_conv", x, latent, config.codeChannels());
  }

  /** Adds the decoder to a method: latents [N,code,h,w] to [N,out,H,W]. */
  public Value decode(Scope at, Value latent, boolean quantize) {
    int codes = config.codeChannels();
    Value x = quantize ? quantized(at, latent) : latent;
    x = at.method().castAs(x, at.parameter("post_quant_conv.bias", config.latentChannels()));
    x = at.conv1x1("post_quant_conv", x, codes, config.latentChannels());
    return coder.decode(at.child("decoder"), x, config.latentChannels(), config.outChannels());
  }

  private Value quantized(Scope at, Value latent) {
    Method m = at.method();
    Value codebook =
        at.parameter("quantize.embedding.weight", config.codebookSize(), config.codeChannels());
    Value lastChannels = m.permute(latent, 0, 2, 3, 1);
    // In float32: half precision has ties, and no distances at all on some devices.
    Value distances = m.distances(m.toFloat(m.flatten(lastChannels, 0, 2)), m.toFloat(codebook));
    Value nearest = m.embedding(m.argmin(distances, 1), codebook);
    return m.permute(m.reshapeAs(nearest, lastChannels), 0, 3, 1, 2);
  }
}
