/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import static io.github.flinkdiffusion.ops.network.ResnetBlock.Resampling.DOWN;
import static io.github.flinkdiffusion.ops.network.ResnetBlock.Resampling.NONE;
import static io.github.flinkdiffusion.ops.network.ResnetBlock.Resampling.UP;

import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Value;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.Iterator;
import java.util.List;
import java.util.stream.IntStream;
import org.apache.flink.annotation.Internal;

/** diffusers' UNet2DConditionModel: the denoising network of the Stable Diffusion family. */
@Internal
public final class UNet2DCondition implements CachingNetwork {
  /** {@link #groundedGraph}'s method for calls in which no row sees objects. */
  public static final String UNGROUNDED = "ungrounded";

  /** {@link #guidedGraph}'s method for calls in which a row changes something. */
  public static final String GUIDED = "guided";

  private final UNet2DConditionConfig config;

  public UNet2DCondition(UNet2DConditionConfig config) {
    this.config = config;
  }

  /**
   * A graph with {@code forward(sample [N,in,H,W], timestep float32 [N], context
   * [N,S,cross_attention_dim or encoder_hid_dim], ...)} giving [N,out,H,W] in float32. Inputs are
   * float32 whatever the weights' dtype. After the context stand, in this order, those that the
   * config asks for: {@code class_labels} ({@link ClassEmbedding.Kind} says their shape), {@code
   * timestep_cond} [N,time_cond_proj_dim], {@code text_embeds} [N,P], {@code time_ids} [N,K],
   * {@code image_embeds} [N,E] and {@code hint} [N,3,8H,8W], for which the sample has four channels
   * less. A network whose context comes from {@code image_embeds} alone has no input {@code
   * context}. H and W are multiples of {@link UNet2DConditionConfig#sideMultiple}.
   */
  @Override
  public Graph graph() {
    Graph graph = new Graph();
    method(graph, FORWARD, false);
    return graph;
  }

  /**
   * A graph for requests with objects in their places, of a config with gated attention. Its {@link
   * #FORWARD} takes after all others {@code boxes} [N,M,4] of 0..1, {@code masks} [N,M] that are 1
   * for objects and 0 for room that is left, {@code phrases} [N,M,cross_attention_dim] and {@code
   * gate} [N], which is 0 for rows that are to see no objects; before the gate, where {@code
   * attention_type} is gated-text-image, {@code phrase_masks} [N,M], {@code images}
   * [N,M,cross_attention_dim] and {@code image_masks} [N,M]. Its {@link #UNGROUNDED} is {@link
   * #graph}'s method: the same where all gates are 0.
   *
   * @throws IllegalArgumentException for a config without gated attention
   */
  public Graph groundedGraph() {
    if (config.attentionType() == AttentionType.DEFAULT) {
      throw new IllegalArgumentException(
          "The network's config has no gated attention_type: it knows no objects.");
    }
    Graph graph = new Graph();
    method(graph, FORWARD, true);
    method(graph, UNGROUNDED, false);
    return graph;
  }

  /**
   * A graph for requests that change what the network does inside. Its {@link #GUIDED} takes after
   * all others {@code changes} [N, 4 + the number of {@link #selfAttentions}]: what FreeU adds to
   * its factors b1, b2, s1 and s2 of 1, then for each self-attention 1 where its tokens keep their
   * values. Its {@link #FORWARD} is {@link #graph}'s method: the same where all changes are 0.
   */
  public Graph guidedGraph() {
    Graph graph = graph();
    guided(graph.method(GUIDED));
    return graph;
  }

  /**
   * Where the network's transformers look at their own tokens, in {@link #GUIDED}'s order. Networks
   * of K blocks have none: their attentions are others.
   */
  public List<String> selfAttentions() {
    return config.hasKBlocks() ? List.of() : guided(new Graph().method(GUIDED)).selfAttentions();
  }

  /** Whether FreeU changes anything: it does on the first two levels of the way up. */
  public boolean hasFreeU() {
    return IntStream.range(0, Math.min(FreeU.LEVELS, config.levels())).anyMatch(this::hasFreeU);
  }

  private boolean hasFreeU(int up) {
    UNetBlock kind = config.up().get(up);
    return up < FreeU.LEVELS && (kind == UNetBlock.CROSS || kind == UNetBlock.PLAIN);
  }

  private GuidedUNet guided(Method method) {
    Inputs inputs = inputs(method, false);
    GuidedUNet changes = new GuidedUNet(method, method.input("changes", 2));
    More more = new More(null, null, List.of(), changes);
    method.returns(method.toFloat(emit(new Scope(method, ""), inputs, Cut.NONE, more)));
    return changes;
  }

  /**
   * A graph after DeepCache (Ma et al. 2023). Features are what the decoder concatenates with a
   * skip connection, [N,C,h,w] in float32.
   *
   * @param branch the skip connection, 0 for the outermost, as DeepCache's {@code cache_branch_id}
   * @throws IllegalArgumentException unless the network has that skip connection
   */
  @Override
  public Graph cachingGraph(int branch) {
    if (branch < 0 || branch >= cacheBranches()) {
      throw new IllegalArgumentException(
          "The network has no skip connection %d to cache features at; %s."
              .formatted(
                  branch,
                  cacheBranches() == 0 ? "it has none" : "its last is " + (cacheBranches() - 1)));
    }
    Graph graph = new Graph();
    method(graph, FORWARD, false, new Cut(branch, null));
    Method shallow = graph.method(SHALLOW);
    Inputs inputs = inputs(shallow, false);
    Cut cut = new Cut(branch, shallow.input("features", 4));
    shallow.returns(shallow.toFloat(emit(new Scope(shallow, ""), inputs, cut)));
    return graph;
  }

  @Override
  public int cacheBranches() {
    if (config.hasKBlocks()) {
      return 0;
    }
    return config.layersPerBlock().stream().mapToInt(Integer::intValue).sum() + config.levels();
  }

  private void method(Graph graph, String name, boolean grounded) {
    method(graph, name, grounded, Cut.NONE);
  }

  private void method(Graph graph, String name, boolean grounded, Cut cut) {
    Method forward = graph.method(name);
    Value result = forward.toFloat(emit(new Scope(forward, ""), inputs(forward, grounded), cut));
    if (cut.made == null) {
      forward.returns(result);
    } else {
      forward.returns(result, forward.toFloat(cut.made));
    }
  }

  /** What {@link #graph} says a method takes. */
  record Inputs(Value sample, Value timestep, Value context, Conditions conditions) {}

  Inputs inputs(Method forward) {
    return inputs(forward, false);
  }

  /** Where features are taken from the network, or put into it. */
  private static final class Cut {
    static final Cut NONE = new Cut(-1, null);

    private final int branch;

    /** Null where they are computed. */
    private final Value given;

    /** Null until they are computed, or where they are given. */
    private Value made;

    Cut(int branch, Value given) {
      this.branch = branch;
      this.given = given;
    }
  }

  private Inputs inputs(Method forward, boolean grounded) {
    Value sample = forward.input("sample", 4);
    Value timestep = forward.input("timestep", 1);
    Value context = config.seesTokens() ? forward.input("context", 3) : null;
    Conditions conditions =
        new Conditions(
            config.classEmbedding().input(forward, "class_labels"),
            config.guidanceEmbedding() > 0 ? forward.input("timestep_cond", 2) : null,
            config.addition().seesText() ? forward.input("text_embeds", 2) : null,
            config.textTime().isPresent() ? forward.input("time_ids", 2) : null,
            config.seesImage() ? forward.input("image_embeds", 2) : null,
            config.addition().seesHint() ? forward.input("hint", 4) : null,
            grounded ? objects(forward) : null);
    return new Inputs(sample, timestep, context, conditions);
  }

  private Objects objects(Method method) {
    boolean images = config.attentionType() == AttentionType.GATED_TEXT_IMAGE;
    return new Objects(
        method.input("boxes", 3),
        method.input("masks", 2),
        method.input("phrases", 3),
        images ? method.input("phrase_masks", 2) : null,
        images ? method.input("images", 3) : null,
        images ? method.input("image_masks", 2) : null,
        method.input("gate", 1));
  }

  /** Objects as {@link #groundedGraph} takes them; null what its config does not ask for. */
  public record Objects(
      Value boxes,
      Value masks,
      Value phrases,
      Value phraseMasks,
      Value images,
      Value imageMasks,
      Value gate) {}

  /**
   * What conditions the network beside timestep and context; null where the config asks for none.
   *
   * @param classLabels as {@link ClassEmbedding.Kind} says
   * @param guidance the embedded guidance scale [N,time_cond_proj_dim]
   * @param pooledText [N,P]
   * @param timeIds sizes and positions in pixels [N,K]
   * @param image an image's embedding [N,E]
   * @param hint an image [N,3,8H,8W]
   * @param objects in their places, null also where none are to be seen
   */
  public record Conditions(
      Value classLabels,
      Value guidance,
      Value pooledText,
      Value timeIds,
      Value image,
      Value hint,
      Objects objects) {
    public static final Conditions NONE = new Conditions(null, null, null, null, null, null, null);
  }

  /**
   * Adds a network without further conditions to a method.
   *
   * @throws IllegalArgumentException for a config that asks for conditions
   */
  public Value emit(Scope at, Value sample, Value timestep, Value context) {
    requireNoConditions();
    return emit(at, sample, timestep, context, Conditions.NONE);
  }

  /**
   * @throws IllegalArgumentException for a config that asks for conditions
   */
  void requireNoConditions() {
    String asked =
        config.classEmbedding().exists()
            ? "class_embed_type or num_class_embeds"
            : config.guidanceEmbedding() > 0
                ? "time_cond_proj_dim"
                : config.addition().seesText() || config.addition().seesImage()
                    ? "addition_embed_type"
                    : config.projection().seesImage() ? "encoder_hid_dim_type" : null;
    if (asked != null) {
      throw new IllegalArgumentException(
          "The network's config has %s: it takes more than a sample, a timestep and a context."
              .formatted(asked));
    }
  }

  /** Adds the network to a method; shapes as in {@link #graph()}, result in the weights' dtype. */
  public Value emit(Scope at, Value sample, Value timestep, Value context, Conditions conditions) {
    return emit(at, new Inputs(sample, timestep, context, conditions), Cut.NONE);
  }

  /**
   * What another network adds to this one's features.
   *
   * @param down to what the way up gets from the way down: the first convolution's image, then each
   *     block's, in order
   * @param middle to the middle's image
   */
  record Residuals(List<Value> down, Value middle) {
    Residuals {
      down = List.copyOf(down);
    }
  }

  /**
   * What a network gets from others.
   *
   * @param residuals null for none
   * @param images of IP-Adapters; null for none
   * @param features what is added within the way down, after the attentions of each level or where
   *     a level without has been halved, and to the middle's image if there is one more
   * @param changes of rows; null for none
   */
  record More(
      Residuals residuals, IpAdapters.Tokens images, List<Value> features, GuidedUNet changes) {
    static final More NONE = new More(null, null, List.of());

    /** Without changes. */
    More(Residuals residuals, IpAdapters.Tokens images, List<Value> features) {
      this(residuals, images, features, null);
    }
  }

  /** Adds a network without {@link KLevels} to a method, with what others give it. */
  Value emit(Scope at, Inputs inputs, More more) {
    return emit(at, inputs, Cut.NONE, more);
  }

  private Value emit(Scope at, Inputs inputs, Cut cut) {
    return emit(at, inputs, cut, More.NONE);
  }

  private Value emit(Scope at, Inputs inputs, Cut cut, More more) {
    Value sample = inputs.sample();
    Value context = inputs.context();
    Conditions conditions = inputs.conditions();
    Method m = at.method();
    int first = config.blockOutChannels().get(0);
    Value dtype = at.parameter("conv_in.bias", first);
    Value given = context == null ? null : m.castAs(context, dtype);
    Value image = conditions.image() == null ? null : m.castAs(conditions.image(), dtype);
    Value tokens =
        config
            .projection()
            .emit(at.child("encoder_hid_proj"), given, image, config.crossAttentionDim());
    Value time = timeEmbedding(at, inputs.timestep(), given, image, conditions, dtype);
    Value x = config.centerInput() ? m.add(m.multiply(sample, 2), -1) : sample;
    x = m.castAs(x, dtype);
    if (config.addition().seesHint()) {
      Value hint = m.castAs(conditions.hint(), dtype);
      x = m.concatenate(1, x, config.addition().hint(at.child("add_embedding"), hint));
    }
    x = conv(at, "conv_in", x, config.inChannels(), first, config.convInKernel());
    Transformer2D.Beside beside =
        new Transformer2D.Beside(grounding(at, conditions, dtype), more.images(), more.changes());
    x =
        config.hasKBlocks()
            ? kLevels(at, x, time, tokens, beside)
            : levels(at, x, time, tokens, beside, cut, more);
    if (config.groups() > 0) {
      Value normed = at.groupNorm("conv_norm_out", x, first, config.groups(), config.epsilon());
      x = config.activation().apply(m, normed);
    }
    return conv(at, "conv_out", x, first, config.outChannels(), config.convOutKernel());
  }

  private Value kLevels(Scope at, Value x, Value time, Value tokens, Transformer2D.Beside beside) {
    KLevels levels = new KLevels(config);
    int last = config.blockOutChannels().get(config.levels() - 1);
    Value bottom = levels.down(at, x, time, tokens);
    Value middle = middle(at.child("mid_block"), bottom, last, time, tokens, beside);
    return levels.up(at, middle, time, tokens);
  }

  private Transformer2D.Grounding grounding(Scope at, Conditions conditions, Value dtype) {
    Objects objects = conditions.objects();
    if (objects == null) {
      return null;
    }
    Method m = at.method();
    return new Transformer2D.Grounding(
        new BoxProjection(config.attentionType(), config.crossAttentionDim())
            .emit(at.child("position_net"), objects, dtype),
        m.castAs(m.unsqueeze(m.unsqueeze(objects.gate(), 1), 2), dtype));
  }

  /** From an image of the first level's channels to another. */
  private Value levels(
      Scope at,
      Value image,
      Value time,
      Value tokens,
      Transformer2D.Beside beside,
      Cut cut,
      More more) {
    Residuals residuals = more.residuals();
    Deque<Skip> skips = new ArrayDeque<>();
    skips.push(new Skip(image, config.blockOutChannels().get(0)));
    if (cut.given != null) {
      down(at, time, tokens, beside, skips, cut.branch + 1, List.of());
      return up(at, null, time, tokens, beside, skips, cut);
    }
    down(at, time, tokens, beside, skips, Integer.MAX_VALUE, more.features());
    Skip last = skips.peek();
    Value x = middle(at.child("mid_block"), last.value(), last.channels(), time, tokens, beside);
    if (more.features().size() > config.levels()) {
      x = at.method().add(x, more.features().get(config.levels()));
    }
    if (residuals == null) {
      return up(at, x, time, tokens, beside, skips, cut);
    }
    Deque<Skip> sums = new ArrayDeque<>();
    Iterator<Value> added = residuals.down().iterator();
    for (Iterator<Skip> made = skips.descendingIterator(); made.hasNext(); ) {
      Skip skip = made.next();
      sums.push(new Skip(at.method().add(skip.value(), added.next()), skip.channels()));
    }
    Value sum = at.method().add(x, residuals.middle());
    return up(at, sum, time, tokens, beside, sums, cut);
  }

  /** The whole encoder, from an image of the first level's channels; its skips, in order. */
  List<Skip> down(Scope at, Value image, Value time, Value tokens) {
    Deque<Skip> skips = new ArrayDeque<>();
    skips.push(new Skip(image, config.blockOutChannels().get(0)));
    down(at, time, tokens, Transformer2D.Beside.NOTHING, skips, Integer.MAX_VALUE, List.of());
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
  private void down(
      Scope at,
      Value time,
      Value tokens,
      Transformer2D.Beside beside,
      Deque<Skip> skips,
      int most,
      List<Value> features) {
    Value x = skips.peek().value();
    int channels = skips.peek().channels();
    int levels = config.levels();
    for (int level = 0; level < levels; level++) {
      Scope block = at.child("down_blocks", level);
      UNetBlock kind = config.down().get(level);
      int out = config.blockOutChannels().get(level);
      for (int i = 0; i < config.layersPerBlock().get(level) && skips.size() < most; i++) {
        x = resnet(kind, channels, out, NONE).emit(block.child("resnets", i), x, time);
        channels = out;
        Scope attention = block.child("attentions", i);
        if (kind == UNetBlock.CROSS) {
          x =
              transformer(level, config.transformerLayers().get(level).get(i))
                  .emit(attention, x, tokens, beside);
        } else if (kind == UNetBlock.SIMPLE_CROSS) {
          x = addedKv(level, config.heads().get(level)).emit(attention, x, tokens);
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
                ? resnet(kind, channels, channels, DOWN).emit(downsampler, x, time)
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
  private Value up(
      Scope at,
      Value bottom,
      Value time,
      Value tokens,
      Transformer2D.Beside beside,
      Deque<Skip> skips,
      Cut cut) {
    Method m = at.method();
    Value x = bottom;
    int levels = config.levels();
    int channels = config.blockOutChannels().get(levels - 1);
    int skipsLeft = config.layersPerBlock().stream().mapToInt(Integer::intValue).sum() + levels;
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
            beside.changes() != null && hasFreeU(up)
                ? m.concatenate(
                    1,
                    beside.changes().image(x, channels, up),
                    beside.changes().skip(skip.value(), up))
                : m.concatenate(1, x, skip.value());
        x =
            resnet(kind, channels + skip.channels(), out, NONE)
                .emit(block.child("resnets", i), x, time);
        channels = out;
        Scope attention = block.child("attentions", i);
        if (kind == UNetBlock.CROSS) {
          x =
              transformer(level, config.transformerLayersUp().get(up).get(i))
                  .emit(attention, x, tokens, beside);
        } else if (kind == UNetBlock.SIMPLE_CROSS) {
          // The reference does not reverse this list.
          x = addedKv(level, config.heads().get(up)).emit(attention, x, tokens);
        }
      }
      if (level > 0 && x != null) {
        Scope upsampler = block.child("upsamplers.0");
        if (kind.resamplesInResnets()) {
          x = resnet(kind, channels, channels, UP).emit(upsampler, x, time);
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

  private static Value conv(Scope at, String name, Value x, int in, int out, int kernel) {
    return at.conv2d(name, x, in, out, kernel, 1, kernel / 2);
  }

  Value middle(
      Scope mid, Value x, int channels, Value time, Value tokens, Transformer2D.Beside beside) {
    if (config.middle() == UNet2DConditionConfig.Middle.NONE) {
      return x;
    }
    int last = config.levels() - 1;
    boolean simple = config.middle() == UNet2DConditionConfig.Middle.SIMPLE_CROSS;
    ResnetBlock resnet =
        resnet(channels, channels, config.midScale(), simple && config.skipTimeActivation(), NONE);
    Value first = resnet.emit(mid.child("resnets", 0), x, time);
    Scope attention = mid.child("attentions", 0);
    Value attended =
        switch (config.middle()) {
          case CROSS ->
              transformer(last, config.transformerLayersMid(), false)
                  .emit(attention, first, tokens, beside);
          case SIMPLE_CROSS ->
              addedKv(last, config.heads().get(last), config.midOnlyCrossAttention())
                  .emit(attention, first, tokens);
          case PLAIN, NONE -> null;
        };
    return attended == null ? first : resnet.emit(mid.child("resnets", 1), attended, time);
  }

  /**
   * The sum of all embeddings [N,timeEmbedding] that the residual blocks see.
   *
   * @param tokens the context as the network is given it, null where it has none
   * @param image an image's embedding, null where the network has none
   */
  Value timeEmbedding(
      Scope at, Value timestep, Value tokens, Value image, Conditions conditions, Value dtype) {
    Method m = at.method();
    int first = config.timeInput();
    int size = config.timeEmbedding();
    ClassEmbedding.TimeInput input =
        new ClassEmbedding.TimeInput(first, size, each -> projected(at, each));
    Scope embedding = at.child("time_embedding");
    Value sinusoidal = m.castAs(projected(at, timestep), dtype);
    if (config.guidanceEmbedding() > 0) {
      Value guidance = m.castAs(conditions.guidance(), dtype);
      sinusoidal =
          m.add(
              sinusoidal,
              embedding.linearWithoutBias(
                  "cond_proj", guidance, config.guidanceEmbedding(), first));
    }
    Value time = TimestepEmbedding.project(embedding, sinusoidal, first, size, config.activation());
    if (config.timeActivation().isPresent()) {
      time = config.timeActivation().get().apply(m, time);
    }
    if (config.classEmbedding().exists()) {
      Value label =
          config
              .classEmbedding()
              .emit(
                  at.child("class_embedding"),
                  conditions.classLabels(),
                  input,
                  config.activation(),
                  dtype);
      time = config.classConcatenated() ? m.concatenate(-1, time, label) : m.add(time, label);
    }
    if (config.textTime().isPresent()) {
      time = m.add(time, textTime(at, config.textTime().get(), conditions, dtype));
    } else if (config.addition().kind() != AddedEmbedding.Kind.NONE) {
      Value text =
          conditions.pooledText() == null ? null : m.castAs(conditions.pooledText(), dtype);
      time =
          m.add(time, config.addition().emit(at.child("add_embedding"), tokens, text, image, size));
    }
    return config.embeddingActivation().isPresent()
        ? config.embeddingActivation().get().apply(m, time)
        : time;
  }

  /** Timesteps [N] as [N,timeInput], in float32. */
  private Value projected(Scope at, Value timesteps) {
    return config.fourier()
        ? TimestepEmbedding.fourier(
            at.child("time_proj"), timesteps, config.timeInput() / 2, config.flipSinToCos())
        : TimestepEmbedding.sinusoidal(
            at,
            "time_frequencies",
            timesteps,
            config.timeInput(),
            config.flipSinToCos(),
            config.frequencyShift());
  }

  private Value textTime(
      Scope at, UNet2DConditionConfig.TextTime settings, Conditions conditions, Value dtype) {
    Method m = at.method();
    Value numbers =
        TimestepEmbedding.sinusoidal(
            at,
            "add_time_frequencies",
            conditions.timeIds(),
            settings.timeSize(),
            config.flipSinToCos(),
            config.frequencyShift());
    Value both = m.concatenate(-1, conditions.pooledText(), m.flatten(numbers, 1, 2));
    return TimestepEmbedding.project(
        at.child("add_embedding"),
        m.castAs(both, dtype),
        settings.inputSize(),
        config.timeEmbedding(),
        Activation.SILU);
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

  /** What the way up gets from the way down. */
  record Skip(Value value, int channels) {}
}
