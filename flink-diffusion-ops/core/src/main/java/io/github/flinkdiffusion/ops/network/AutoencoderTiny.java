/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Value;
import java.util.List;
import org.apache.flink.annotation.Internal;

/** diffusers' AutoencoderTiny (TAESD): a small autoencoder without norms, for quick previews. */
@Internal
public final class AutoencoderTiny {
  /** The method that encodes pictures. */
  public static final String ENCODE = "encode";

  /** The method that decodes latents. */
  public static final String DECODE = "decode";

  /** The decoder folds latents softly into +-3. */
  private static final double LATENT_LIMIT = 3;

  private final AutoencoderTinyConfig config;

  public AutoencoderTiny(AutoencoderTinyConfig config) {
    this.config = config;
  }

  /**
   * A graph with {@link #ENCODE} (pictures [N,in,H,W] in -1..1 to latents [N,latent,h,w]) and
   * {@link #DECODE} (back).
   */
  public Graph graph() {
    Graph graph = new Graph();
    Method encode = graph.method(ENCODE);
    Value image = encode.input("image", 4);
    encode.returns(encode.toFloat(encode(new Scope(encode, ""), image)));
    Method decode = graph.method(DECODE);
    Value latent = decode.input("latent", 4);
    decode.returns(decode.toFloat(decode(new Scope(decode, ""), latent)));
    return graph;
  }

  /** Adds the encoder to a method: [N,in,H,W] to [N,latent,h,w]. */
  public Value encode(Scope at, Value image) {
    Scope encoder = at.child("encoder");
    Method m = at.method();
    int channels = config.encoderChannels();
    int layer = 0;
    Value x = m.add(m.multiply(image, 0.5), 0.5);
    x = m.castAs(x, encoder.parameter("layers.0.bias", channels));
    List<Integer> levels = config.encoderBlocks();
    for (int level = 0; level < levels.size(); level++) {
      String name = "layers." + layer++;
      x =
          level == 0
              ? encoder.conv3x3(name, x, config.inChannels(), channels)
              : encoder.conv2dWithoutBias(name, x, channels, channels, 3, 2, 1);
      for (int i = 0; i < levels.get(level); i++) {
        x = block(encoder.child("layers", layer++), x, channels);
      }
    }
    return encoder.conv3x3("layers." + layer, x, channels, config.latentChannels());
  }

  /** Adds the decoder to a method: [N,latent,h,w] to [N,out,H,W]. */
  public Value decode(Scope at, Value latent) {
    Scope decoder = at.child("decoder");
    Method m = at.method();
    int channels = config.decoderChannels();
    Value x = m.multiply(m.tanh(m.multiply(latent, 1 / LATENT_LIMIT)), LATENT_LIMIT);
    x = m.castAs(x, decoder.parameter("layers.0.bias", channels));
    x = decoder.conv3x3("layers.0", x, config.latentChannels(), channels);
    x = config.activation().apply(m, x);
    // Activations and upsamplings count as layers in the names.
    int layer = 2;
    List<Integer> levels = config.decoderBlocks();
    for (int level = 0; level < levels.size(); level++) {
      for (int i = 0; i < levels.get(level); i++) {
        x = block(decoder.child("layers", layer++), x, channels);
      }
      if (level < levels.size() - 1) {
        x = m.upsampleNearest(x, config.upsampling());
        layer++;
        x = decoder.conv2dWithoutBias("layers." + layer++, x, channels, channels, 3, 1, 1);
      }
    }
    x = decoder.conv3x3("layers." + layer, x, channels, config.outChannels());
    return m.add(m.multiply(x, 2), -1);
  }

  /** Three convolutions with a shortcut around; ReLU at the end whatever {@code act_fn} says. */
  private Value block(Scope at, Value x, int channels) {
    Method m = at.method();
    Activation activation = config.activation();
    Value h = activation.apply(m, at.conv3x3("conv.0", x, channels, channels));
    h = activation.apply(m, at.conv3x3("conv.2", h, channels, channels));
    return m.relu(m.add(at.conv3x3("conv.4", h, channels, channels), x));
  }
}
