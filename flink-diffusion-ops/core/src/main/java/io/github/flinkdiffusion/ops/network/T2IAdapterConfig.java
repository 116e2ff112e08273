/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.weights.Config;
import java.util.ArrayList;
import java.util.List;
import org.apache.flink.annotation.Internal;

/**
 * diffusers' T2IAdapter config. Names are the config's.
 *
 * @param kind {@code adapter_type}
 * @param inChannels {@code in_channels} of the image
 * @param channels of each block ({@code channels})
 * @param layers residual blocks of each ({@code num_res_blocks})
 * @param downscale {@code downscale_factor}: pixels of the image along a side of one of the first
 *     block
 */
@Internal
public record T2IAdapterConfig(
    Kind kind, int inChannels, List<Integer> channels, int layers, int downscale) {
  private static final int MOST_BLOCKS = 8;
  private static final int MOST_DOWNSCALE = 64;

  /** What blocks there are. */
  public enum Kind {
    /** Each block after the first halves the image. */
    FULL("full_adapter"),
    /** The third block alone halves it. */
    FULL_XL("full_adapter_xl"),
    /** Narrow blocks, one more than there are channels; each after the first halves the image. */
    LIGHT("light_adapter");

    private final String name;

    Kind(String name) {
      this.name = name;
    }
  }

  /**
   * What one block gives.
   *
   * @param channels of it
   * @param pixels of the image along a side of one of its pixels
   */
  public record Feature(int channels, int pixels) {}

  public T2IAdapterConfig {
    channels = List.copyOf(channels);
  }

  /**
   * Reads a component's config.json; missing keys take diffusers' defaults.
   *
   * @throws io.github.flinkdiffusion.ops.weights.IllegalConfigException for a value that is not
   *     supported
   */
  public static T2IAdapterConfig from(Config config) {
    List<String> names = List.of(Kind.FULL.name, Kind.FULL_XL.name, Kind.LIGHT.name);
    String name = ConfigValues.oneOf(config, "adapter_type", names.get(0), names);
    Kind kind = Kind.values()[names.indexOf(name)];
    List<Integer> channels =
        ConfigValues.boxed(config.integers("channels", new int[] {320, 640, 1280, 1280}));
    if (channels.isEmpty()
        || channels.size() > MOST_BLOCKS
        || !channels.stream().allMatch(each -> each > 3 && each <= ConfigValues.LARGEST_SIZE)) {
      throw config.unsupported(
          "channels",
          channels,
          "1 to %d numbers from 4 to %d".formatted(MOST_BLOCKS, ConfigValues.LARGEST_SIZE));
    }
    // The reference has no convolution between the third block and the fourth.
    if (kind == Kind.FULL_XL
        && channels.size() > 3
        && !channels.subList(2, channels.size()).stream().allMatch(channels.get(2)::equals)) {
      throw config.unsupported("channels", channels, "as many for each block from the third on");
    }
    int downscale = ConfigValues.positive(config, "downscale_factor", 8);
    if (downscale > MOST_DOWNSCALE) {
      throw config.unsupported("downscale_factor", downscale, "1 to " + MOST_DOWNSCALE);
    }
    return new T2IAdapterConfig(
        kind,
        ConfigValues.positive(config, "in_channels", 3),
        channels,
        ConfigValues.layers(config, "num_res_blocks", 2),
        downscale);
  }

  /** What the blocks give, in order. */
  public List<Feature> features() {
    List<Feature> features = new ArrayList<>();
    int pixels = downscale;
    int count = channels.size() + (kind == Kind.LIGHT ? 1 : 0);
    for (int i = 0; i < count; i++) {
      pixels *= halves(i) ? 2 : 1;
      features.add(new Feature(channels.get(Math.min(i, channels.size() - 1)), pixels));
    }
    return features;
  }

  /** Whether a block halves the image first. */
  boolean halves(int block) {
    return kind == Kind.FULL_XL ? block == 2 : block > 0;
  }

  /** Sides of an image are multiples of it. */
  public int sideMultiple() {
    List<Feature> features = features();
    return features.get(features.size() - 1).pixels();
  }
}
