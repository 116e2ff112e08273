/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.training;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.flinkdiffusion.examples.training.data.Example;
import io.github.flinkdiffusion.examples.training.data.ExampleSet;
import io.github.flinkdiffusion.examples.training.data.Shuffled;
import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.engine.TrainableNetwork.NamedWeight;
import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.ParameterSource;
import io.github.flinkdiffusion.ops.network.ClipText;
import io.github.flinkdiffusion.ops.network.ClipTextConfig;
import io.github.flinkdiffusion.ops.network.UNet2D;
import io.github.flinkdiffusion.ops.network.UNet2DCondition;
import io.github.flinkdiffusion.ops.network.UNet2DConditionConfig;
import io.github.flinkdiffusion.ops.network.UNet2DConfig;
import io.github.flinkdiffusion.ops.pipeline.GenerationSpec;
import io.github.flinkdiffusion.ops.pipeline.Parameters;
import io.github.flinkdiffusion.ops.tokenizer.ClipTokenizer;
import io.github.flinkdiffusion.ops.training.Batches;
import io.github.flinkdiffusion.ops.training.Denoiser;
import io.github.flinkdiffusion.ops.training.DiffusionInputs;
import io.github.flinkdiffusion.ops.training.Distillation;
import io.github.flinkdiffusion.ops.training.DistillationObjective;
import io.github.flinkdiffusion.ops.training.DistillationObjective.Party;
import io.github.flinkdiffusion.ops.training.DistillationObjective.Prompts;
import io.github.flinkdiffusion.ops.training.DistillationWeights;
import io.github.flinkdiffusion.ops.training.DistilledDenoiser;
import io.github.flinkdiffusion.ops.training.HuberThreshold;
import io.github.flinkdiffusion.ops.training.StudentFolder;
import io.github.flinkdiffusion.ops.weights.Config;
import io.github.flinkdiffusion.ops.weights.ModelFolder;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.random.RandomGenerator;

/** A student of Stable Diffusion, or of a network of pixels without conditions. */
final class DistillTask implements TrainingTask {
  private static final String TEXT = Denoiser.TEXT_ENCODER;
  private static final String UNET = Denoiser.UNET;

  private final Recipe recipe;
  private final ModelFolder base;
  private final ExampleSet examples;
  private final Shuffled order;
  private final Distillation distillation;
  private final DistillationObjective objective;
  private final DiffusionInputs levels;
  private final int channels;

  /** Of a model with prompts. */
  private final Optional<ClipTokenizer> tokenizer;

  private final Optional<LatentEncoder> encoder;
  private final Optional<TensorStore> text;
  private final TensorStore unet;

  DistillTask(Recipe recipe, ExampleSet examples) {
    this.recipe = recipe;
    this.examples = examples;
    this.base = ModelFolder.open(recipe.model());
    this.order = new Shuffled(examples.size(), recipe.settings().seed());
    this.distillation = recipe.distillation();
    boolean prompts = base.componentNames().contains(TEXT);
    Config before = base.component(UNET).config();
    Config after = Config.of(before.source(), student(before.node().deepCopy()));
    this.tokenizer =
        prompts ? Optional.of(ClipTokenizer.load(base.component("tokenizer"))) : Optional.empty();
    this.channels =
        prompts
            ? LatentEncoder.config(base).latentChannels()
            : UNet2DConfig.from(before).inChannels();
    // Asked for the levels and the target alone: the loss is another one.
    this.levels = Objectives.inputs(recipe, base, null, channels);
    this.objective =
        new DistillationObjective(
            distillation,
            party(prompts, before),
            party(prompts, after),
            tokenizer.map(
                each ->
                    new Prompts(
                        new ClipText(ClipTextConfig.from(base.component(TEXT).config())),
                        each.maxLength())),
            levels.objective().target(),
            recipe.loss().distance(),
            distillation instanceof Distillation.Consistency
                ? new HuberThreshold(
                    HuberThreshold.Schedule.CONSTANT, recipe.loss().threshold().least())
                : recipe.loss().threshold());
    this.unet = base.component(UNET).open();
    this.text = prompts ? Optional.of(base.component(TEXT).open()) : Optional.empty();
    this.encoder = prompts ? Optional.of(LatentEncoder.of(base, recipe)) : Optional.empty();
  }

  private static Party party(boolean prompts, Config unet) {
    if (!prompts) {
      return new Party(DistilledDenoiser.unconditional(new UNet2D(UNet2DConfig.from(unet))), 0);
    }
    UNet2DConditionConfig config = UNet2DConditionConfig.from(unet);
    return new Party(
        DistilledDenoiser.ofContext(new UNet2DCondition(config)), config.guidanceEmbedding());
  }

  /** From the teacher's config to the student's. */
  private ObjectNode student(ObjectNode unet) {
    Section section = recipe.distillationSection();
    int embedding = section.whole("guidance_embedding", distillation.scales().vary() ? 256 : 0, 0);
    if (embedding > 0) {
      unet.put("time_cond_proj_dim", embedding);
    }
    if (section.has("layers_per_block")) {
      unet.put("layers_per_block", section.whole("layers_per_block", 1, 1));
    }
    if (section.has("block_out_channels")) {
      ArrayNode widths = unet.putArray("block_out_channels");
      for (int width : section.config().integers("block_out_channels")) {
        widths.add(width);
      }
    }
    return unet;
  }

  @Override
  public Graph graph() {
    return objective.graph();
  }

  @Override
  public ParameterSource weights() {
    return new DistillationWeights(unet, text.orElse(null), recipe.settings().seed());
  }

  @Override
  public boolean trains(String parameter) {
    return DistillationObjective.isStudent(parameter);
  }

  @Override
  public HostTensor[] at(long position) {
    RandomGenerator random = Batches.random(recipe.settings().seed(), position);
    int batch = recipe.batch();
    int side = recipe.side();
    int colors = encoder.isPresent() ? 3 : channels;
    float[] images = new float[batch * colors * side * side];
    List<String> captions = new ArrayList<>();
    for (int i = 0; i < batch; i++) {
      Example example = examples.at(order.at(position * batch + i));
      float[] image = recipe.view(colors).of(example, random);
      System.arraycopy(image, 0, images, i * image.length, image.length);
      captions.add(drops(random) ? "" : caption(example));
    }
    HostTensor.Floats pixels = new HostTensor.Floats(images, batch, colors, side, side);
    return objective.inputs(
        random,
        levels.levels(),
        encoder.map(each -> each.latents(pixels, random)).orElse(pixels),
        ids(captions),
        ids(captions.stream().map(each -> "").toList()));
  }

  /** A pruned student is asked with guidance as its teacher is, so it learns the empty prompt. */
  private boolean drops(RandomGenerator random) {
    return distillation instanceof Distillation.Pruned
        && random.nextDouble() < recipe.loss().promptDropout();
  }

  private String caption(Example example) {
    return example.caption().isEmpty() ? recipe.caption().orElse("") : example.caption();
  }

  private HostTensor.Longs ids(List<String> prompts) {
    if (tokenizer.isEmpty()) {
      return null;
    }
    int tokens = tokenizer.get().maxLength();
    long[] ids = new long[prompts.size() * tokens];
    for (int i = 0; i < prompts.size(); i++) {
      long[] row =
          Arrays.stream(tokenizer.get().encode(prompts.get(i)).ids()).asLongStream().toArray();
      System.arraycopy(row, 0, ids, i * tokens, tokens);
    }
    return new HostTensor.Longs(ids, prompts.size(), tokens);
  }

  @Override
  public void export(List<NamedWeight> trained) {
    new StudentFolder(base, distillation, this::student).write(model(), trained, recipe.storedAs());
  }

  @Override
  public Path model() {
    return recipe.out().resolve("model");
  }

  @Override
  public List<GenerationSpec> samples() {
    return specs(recipe.samples().steps());
  }

  private List<GenerationSpec> specs(int steps) {
    List<String> prompts = recipe.samples().prompts();
    List<GenerationSpec> specs = new ArrayList<>();
    for (int i = 0; i < recipe.samples().count(); i++) {
      String prompt =
          prompts.isEmpty()
              ? caption(examples.at(i % examples.size()))
              : prompts.get(i % prompts.size());
      GenerationSpec spec =
          GenerationSpec.of(tokenizer.isPresent() ? prompt : "seed " + i)
              .with(Parameters.SEED, (long) i)
              .with(Parameters.STEPS, (long) steps);
      specs.add(
          tokenizer.isPresent()
              ? spec.with(Parameters.PROMPT, prompt)
                  .with(Parameters.GUIDANCE_SCALE, recipe.samples().guidance())
              : spec);
    }
    return specs;
  }

  /** The student beside its teacher: parameters, seconds, likeness. */
  @Override
  public void finished() throws IOException {
    int steps =
        recipe.distillationSection().whole("teacher_steps", 2 * recipe.samples().steps(), 1);
    new StudentComparison(recipe.device(), recipe.out().resolve("comparison.md"))
        .write(recipe.model(), specs(steps), model(), samples());
  }

  @Override
  public void close() {
    unet.close();
    text.ifPresent(TensorStore::close);
    encoder.ifPresent(LatentEncoder::close);
  }
}
