/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import static io.github.flinkdiffusion.ops.network.ResnetBlock.Resampling.DOWN;
import static io.github.flinkdiffusion.ops.network.ResnetBlock.Resampling.NONE;
import static io.github.flinkdiffusion.ops.network.ResnetBlock.Resampling.UP;

import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Value;
import io.github.flinkdiffusion.ops.network.UNet2DCondition.More;
import io.github.flinkdiffusion.ops.network.UNet2DCondition.Residuals;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.Iterator;
import java.util.List;
import java.util.stream.IntStream;

/**
 * The way down, the middle and the way up of a UNet2DConditionModel. Levels of K blocks are {@link
 * KLevels}, with this middle.
 */
final class ConditionedLevels {
  private final UNet2DConditionConfig config;

  ConditionedLevels(UNet2DConditionConfig config) {
    this.config = config;
  }

  /** What the way up gets from the way down. */
  record Skip(Value value, int channels) {}

  /**
   * What each block sees beside its image.
   *
   * @param time [N,timeEmbedding]
   * @param tokens [N,S,C]; null where the network sees none
   * @param beside what its transformers see beside the tokens
   */
  record Seen(Value time, Value tokens, Transformer2D.Beside beside) {}

  /** Where features are taken from the network, or put into it. */
  static final class Cut {
    static final Cut NONE = new Cut(-1, null);

    final int branch;

    /** Null where they are computed. */
    final Value given;

    /** Null until they are computed, or where they are given. */
    Value made;

    Cut(int branch, Value given) {
      this.branch = branch;
      this.given = given;
    }
  }

  /** How many skip connections there are. */
  int skips() {
    return config.layersPerBlock().stream().mapToInt(Integer::intValue).sum() + config.levels();
  }

  /** Whether FreeU changes anything: it does on the first two levels of the way up. */
  boolean hasFreeU() {
    return IntStream.range(0, Math.min(FreeU.LEVELS, config.levels())).anyMatch(this::hasFreeU);
  }

  private boolean hasFreeU(int up) {
    UNetBlock kind = config.up().get(up);
    return up < FreeU.LEVELS && (kind == UNetBlock.CROSS || kind == UNetBlock.PLAIN);
  }

  /**
   * The whole way, from an image of the first level's channels to another.
   *
   * @param more residuals and features; the rest of it is in what blocks see
   */
  Value emit(Scope at, Value image, Seen seen, Cut cut, More more) {
    Residuals residuals = more.residuals();
    Deque<Skip> skips = new ArrayDeque<>();
    skips.push(new Skip(image, config.blockOutChannels().get(0)));
    if (cut.given != null) {
      down(at, seen, skips, cut.branch + 1, List.of());
      return up(at, null, seen, skips, cut);
    }
    down(at, seen, skips, Integer.MAX_VALUE, more.features());
    Skip last = skips.peek();
    Value x = middle(at.child("mid_block"), last.value(), last.channels(), seen);
    if (more.features().size() > config.levels()) {
      x = at.method().add(x, more.features().get(config.levels()));
    }
    if (residuals == null) {
      return up(at, x, seen, skips, cut);
    }
    Deque<Skip> sums = new ArrayDeque<>();
    Iterator<Value> added = residuals.down().iterator();
    for (Iterator<Skip> made = skips.descendingIterator(); made.hasNext(); ) {
      Skip skip = made.next();
      sums.push(new Skip(at.method().add(skip.value(), added.next()), skip.channels()));
    }
    Value sum = at.method().add(x, residuals.middle());
    return up(at, sum, seen, sums, cut);
  }

  /** The whole encoder, from an image of the first level's channels; its skips, in order. */
  List<Skip> down(Scope at, Value image, Seen seen) {
    Deque<Skip> skips = new ArrayDeque<>();
    skips.push(new Skip(image, config.blockOutChannels().get(0)));
    down(at, seen, skips, Integer.MAX_VALUE, List.of());
    List<Skip> made = new ArrayList<>();
    skips.descendingIterator().forEachRemaining(made::add);
    return made;
  }

  /**
   * The encoder, from the one skip that is there.
   *
   * @param most skips after which it ends
   * @param features see {@link More}
   */
  private void down(Scope at, Seen seen, Deque<Skip> skips, int most, List<Value> features) {
    Value x = skips.peek().value();
    int channels = skips.peek().channels();
    int levels = config.levels();
    for (int level = 0; level < levels; level++) {
      Scope block = at.child("down_blocks", level);
      UNetBlock kind = config.down().get(level);
      int out = config.blockOutChannels().get(level);
      for (int i = 0; i < config.layersPerBlock().get(level) && skips.size() < most; i++) {
        x = resnet(kind, channels, out, NONE).emit(block.child("resnets", i), x, seen.time());
        channels = out;
        Scope attention = block.child("attentions", i);
        if (kind == UNetBlock.CROSS) {
          x =
              transformer(level, config.transformerLayers().get(level).get(i))
                  .emit(attention, x, seen.tokens(), seen.beside());
        } else if (kind == UNetBlock.SIMPLE_CROSS) {
          x = addedKv(level, config.heads().get(level)).emit(attention, x, seen.tokens());
        }
        if (level < features.size()
            && kind == UNetBlock.CROSS
            && i == config.layersPerBlock().get(level) - 1) {
          x = at.method().add(x, features.get(level));
        }
        skips.push(new Skip(x, channels));
      }
      if (level < levels - 1 && skips.size() < most) {
        Scope downsampler = block.child("downsamplers.0");
        x =
            kind.resamplesInResnets()
                ? resnet(kind, channels, channels, DOWN).emit(downsampler, x, seen.time())
                : downsampler.halved(x, channels, config.symmetricPadding());
        skips.push(new Skip(x, channels));
      }
      if (level < features.size() && kind != UNetBlock.CROSS) {
        x = at.method().add(x, features.get(level));
        skips.pop();
        skips.push(new Skip(x, channels));
      }
    }
  }

  /**
   * The decoder.
   *
   * @param bottom what the middle gives; null where the cut's features take the place of all that
   *     comes before them
   * @param skips of the encoder, those outside of the cut alone where it has features
   */
  private Value up(Scope at, Value bottom, Seen seen, Deque<Skip> skips, Cut cut) {
    Method m = at.method();
    Value x = bottom;
    int levels = config.levels();
    int channels = config.blockOutChannels().get(levels - 1);
    int skipsLeft = skips();
    for (int up = 0; up < levels; up++) {
      int level = levels - 1 - up;
      Scope block = at.child("up_blocks", up);
      UNetBlock kind = config.up().get(up);
      int out = config.blockOutChannels().get(level);
      for (int i = 0; i <= config.layersPerBlock().get(level); i++) {
        skipsLeft--;
        if (skipsLeft == cut.branch) {
          if (cut.given == null) {
            cut.made = x;
          } else {
            x = m.castAs(cut.given, skips.peek().value());
          }
        }
        if (x == null) {
          channels = out;
          continue;
        }
        Skip skip = skips.pop();
        x =
            seen.beside().changes() != null && hasFreeU(up)
                ? m.concatenate(
                    1,
                    seen.beside().changes().image(x, channels, up),
                    seen.beside().changes().skip(skip.value(), up))
                : m.concatenate(1, x, skip.value());
        x =
            resnet(kind, channels + skip.channels(), out, NONE)
                .emit(block.child("resnets", i), x, seen.time());
        channels = out;
        Scope attention = block.child("attentions", i);
        if (kind == UNetBlock.CROSS) {
          x =
              transformer(level, config.transformerLayersUp().get(up).get(i))
                  .emit(attention, x, seen.tokens(), seen.beside());
        } else if (kind == UNetBlock.SIMPLE_CROSS) {
          // The reference does not reverse this list.
          x = addedKv(level, config.heads().get(up)).emit(attention, x, seen.tokens());
        }
      }
      if (level > 0 && x != null) {
        Scope upsampler = block.child("upsamplers.0");
        if (kind.resamplesInResnets()) {
          x = resnet(kind, channels, channels, UP).emit(upsampler, x, seen.time());
        } else {
          // To the size of the next skip, not simply twice: a side that is odd at some level was
          // rounded up on the way down.
          x = m.upsampleNearestAs(x, skips.peek().value());
          x = upsampler.conv3x3("conv", x, channels, channels);
        }
      }
    }
    return x;
  }

  Value middle(Scope mid, Value x, int channels, Seen seen) {
    if (config.middle() == UNet2DConditionConfig.Middle.NONE) {
      return x;
    }
    int last = config.levels() - 1;
    boolean simple = config.middle() == UNet2DConditionConfig.Middle.SIMPLE_CROSS;
    ResnetBlock resnet =
        resnet(channels, channels, config.midScale(), simple && config.skipTimeActivation(), NONE);
    Value first = resnet.emit(mid.child("resnets", 0), x, seen.time());
    Scope attention = mid.child("attentions", 0);
    Value attended =
        switch (config.middle()) {
          case CROSS ->
              transformer(last, config.transformerLayersMid(), false)
                  .emit(attention, first, seen.tokens(), seen.beside());
          case SIMPLE_CROSS ->
              addedKv(last, config.heads().get(last), config.midOnlyCrossAttention())
                  .emit(attention, first, seen.tokens());
          case PLAIN, NONE -> null;
        };
    return attended == null ? first : resnet.emit(mid.child("resnets", 1), attended, seen.time());
  }

  private ResnetBlock resnet(UNetBlock kind, int in, int out, ResnetBlock.Resampling resampling) {
    return kind.resamplesInResnets()
        ? resnet(in, out, config.residualScale(), config.skipTimeActivation(), resampling)
        : resnet(in, out, 1, false, resampling);
  }

  private ResnetBlock resnet(
      int in,
      int out,
      double outputScale,
      boolean timeActivated,
      ResnetBlock.Resampling resampling) {
    return new ResnetBlock(
        in,
        out,
        config.blockEmbedding(),
        config.groups(),
        config.groups(),
        config.epsilon(),
        config.activation(),
        config.timeScaleShift(),
        timeActivated,
        outputScale,
        resampling);
  }

  private AddedKvAttention addedKv(int level, int headSize) {
    return addedKv(level, headSize, config.onlyCrossAttention().get(level));
  }

  private AddedKvAttention addedKv(int level, int headSize, boolean contextAlone) {
    return new AddedKvAttention(
        config.blockOutChannels().get(level),
        headSize,
        config.crossAttentionDim(),
        config.groups(),
        contextAlone,
        config.contextNorm());
  }

  private Transformer2D transformer(int level, int layers) {
    return transformer(level, layers, config.onlyCrossAttention().get(level));
  }

  private Transformer2D transformer(int level, int layers, boolean onlyCrossAttention) {
    return new Transformer2D(
        config.blockOutChannels().get(level),
        config.heads().get(level),
        config.crossAttentionDim(),
        config.groups(),
        layers,
        config.linearProjection(),
        onlyCrossAttention,
        config.upcastAttention());
  }
}
