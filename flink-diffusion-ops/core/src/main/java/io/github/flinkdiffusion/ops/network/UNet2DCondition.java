/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Value;
import io.github.flinkdiffusion.ops.network.ConditionedLevels.Cut;
import java.util.List;
import org.apache.flink.annotation.Internal;

/** diffusers' UNet2DConditionModel: the denoising network of the Stable Diffusion family. */
@Internal
public final class UNet2DCondition implements CachingNetwork {
  /** {@link #groundedGraph}'s method for calls in which no row sees objects. */
  public static final String UNGROUNDED = "ungrounded";

  /** {@link #guidedGraph}'s method for calls in which a row changes something. */
  public static final String GUIDED = "guided";

  private final UNet2DConditionConfig config;
  private final ConditionedLevels levels;

  public UNet2DCondition(UNet2DConditionConfig config) {
    this.config = config;
    this.levels = new ConditionedLevels(config);
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
    return levels.hasFreeU();
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
    return config.hasKBlocks() ? 0 : levels.skips();
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
    Value time =
        new UNetTimeEmbedding(config).emit(at, inputs.timestep(), given, image, conditions, dtype);
    Value x = config.centerInput() ? m.add(m.multiply(sample, 2), -1) : sample;
    x = m.castAs(x, dtype);
    if (config.addition().seesHint()) {
      Value hint = m.castAs(conditions.hint(), dtype);
      x = m.concatenate(1, x, config.addition().hint(at.child("add_embedding"), hint));
    }
    x = conv(at, "conv_in", x, config.inChannels(), first, config.convInKernel());
    ConditionedLevels.Seen seen =
        new ConditionedLevels.Seen(
            time,
            tokens,
            new Transformer2D.Beside(
                grounding(at, conditions, dtype), more.images(), more.changes()));
    x = config.hasKBlocks() ? kLevels(at, x, seen) : levels.emit(at, x, seen, cut, more);
    if (config.groups() > 0) {
      Value normed = at.groupNorm("conv_norm_out", x, first, config.groups(), config.epsilon());
      x = config.activation().apply(m, normed);
    }
    return conv(at, "conv_out", x, first, config.outChannels(), config.convOutKernel());
  }

  private Value kLevels(Scope at, Value x, ConditionedLevels.Seen seen) {
    KLevels kLevels = new KLevels(config);
    int last = config.blockOutChannels().get(config.levels() - 1);
    Value bottom = kLevels.down(at, x, seen.time(), seen.tokens());
    Value middle = levels.middle(at.child("mid_block"), bottom, last, seen);
    return kLevels.up(at, middle, seen.time(), seen.tokens());
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

  private static Value conv(Scope at, String name, Value x, int in, int out, int kernel) {
    return at.conv2d(name, x, in, out, kernel, 1, kernel / 2);
  }
}
