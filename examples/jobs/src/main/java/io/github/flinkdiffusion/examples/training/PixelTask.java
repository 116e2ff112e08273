/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.training;

import io.github.flinkdiffusion.examples.training.Recipe.Task;
import io.github.flinkdiffusion.examples.training.data.Augmentation;
import io.github.flinkdiffusion.examples.training.data.Example;
import io.github.flinkdiffusion.examples.training.data.ExampleSet;
import io.github.flinkdiffusion.examples.training.data.Shuffled;
import io.github.flinkdiffusion.examples.training.data.TrainingDataException;
import io.github.flinkdiffusion.examples.training.data.View;
import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.engine.TrainableNetwork.NamedWeight;
import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.ParameterSource;
import io.github.flinkdiffusion.ops.image.PilResize;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.network.UNet2D;
import io.github.flinkdiffusion.ops.network.UNet2DConfig;
import io.github.flinkdiffusion.ops.pipeline.GenerationSpec;
import io.github.flinkdiffusion.ops.pipeline.Parameters;
import io.github.flinkdiffusion.ops.training.Batches;
import io.github.flinkdiffusion.ops.training.Denoiser;
import io.github.flinkdiffusion.ops.training.DiffusionInputs;
import io.github.flinkdiffusion.ops.training.DiffusionObjective.Variance;
import io.github.flinkdiffusion.ops.training.Dropout;
import io.github.flinkdiffusion.ops.training.TrainedFolder;
import io.github.flinkdiffusion.ops.weights.Config;
import io.github.flinkdiffusion.ops.weights.IllegalConfigException;
import io.github.flinkdiffusion.ops.weights.ModelFolder;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.random.RandomGenerator;

/** A network of pixels: without conditions, or with an image behind the noisy sample. */
final class PixelTask implements TrainingTask {
  private static final String UNET = "unet";

  private final Recipe recipe;
  private final ModelFolder base;
  private final ExampleSet examples;
  private final Shuffled order;
  private final UNet2DConfig unet;
  private final DiffusionInputs inputs;
  private final BaseWeights weights;
  private final boolean paired;
  private final int targets;
  private final int factor;
  private final double residualScale;
  private final Optional<ExampleSet> heldOut;
  private final boolean residual;

  PixelTask(Recipe recipe, ExampleSet examples) {
    this.recipe = recipe;
    this.examples = examples;
    this.heldOut = recipe.measures() ? Optional.of(recipe.heldOut()) : Optional.empty();
    this.base = ModelFolder.open(recipe.model());
    this.order = new Shuffled(examples.size(), recipe.settings().seed());
    this.unet = UNet2DConfig.from(base.component(UNET).config());
    this.paired = recipe.task().pairs();
    Config index = base.config();
    boolean upscales = recipe.task() == Task.UPSCALE;
    this.factor = upscales ? index.integer("scale_factor", 4) : 1;
    this.residual = upscales && index.string("sample_target", "residual").equals("residual");
    this.residualScale = residual ? index.number("residual_scale", 1) : 1;
    if (recipe.side() % factor != 0) {
      throw new IllegalConfigException(
          "The recipe's side is %d; expected a multiple of the model's scale_factor, %d."
              .formatted(recipe.side(), factor));
    }
    boolean learnsVariance =
        Objectives.variance(base.component("scheduler").config()) == Variance.LEARNED_RANGE;
    this.targets = learnsVariance ? unet.outChannels() / 2 : unet.outChannels();
    UNet2D network = new UNet2D(unet);
    this.inputs =
        Objectives.inputs(
            recipe,
            base,
            paired ? Denoiser.concatenated(network) : Denoiser.unconditional(network),
            targets);
    this.weights = new BaseWeights(base, Map.of(UNET, ""), recipe.settings().seed());
  }

  @Override
  public Graph graph() {
    return new Dropout(Dropout.DIFFUSERS, recipe.dropout()).in(inputs.objective().graph());
  }

  @Override
  public ParameterSource weights() {
    return weights;
  }

  @Override
  public boolean trains(String parameter) {
    return true;
  }

  @Override
  public HostTensor[] at(long position) {
    RandomGenerator random = Batches.random(recipe.settings().seed(), position);
    int batch = recipe.batch();
    int side = recipe.side();
    int conditions = unet.inChannels() - targets;
    float[] clean = new float[batch * targets * side * side];
    float[] condition = new float[batch * conditions * side * side];
    for (int i = 0; i < batch; i++) {
      Example example = examples.at(order.at(position * batch + i));
      if (paired) {
        Pair pair = pair(example, random, conditions);
        System.arraycopy(pair.target(), 0, clean, i * pair.target().length, pair.target().length);
        System.arraycopy(
            pair.condition(), 0, condition, i * pair.condition().length, pair.condition().length);
      } else {
        float[] image = recipe.view(targets).of(example, random);
        System.arraycopy(image, 0, clean, i * image.length, image.length);
      }
    }
    HostTensor.Floats target = new HostTensor.Floats(clean, batch, targets, side, side);
    return paired
        ? inputs.drawn(
            random, target, new HostTensor.Floats(condition, batch, conditions, side, side))
        : inputs.drawn(random, target);
  }

  private record Pair(float[] target, float[] condition) {}

  private Pair pair(Example example, RandomGenerator random, int conditions) {
    int side = recipe.side();
    if (recipe.task() == Task.SEGMENTATION) {
      int channels = example.other().orElseThrow().channels();
      if (channels != targets && Math.max(channels, targets) > 3) {
        throw new TrainingDataException(
            "A mask has %d channels and the model, whose samples are one_hot, %d: give it the layout coco_masks or coco_boxes."
                .formatted(channels, targets));
      }
      View.Square square =
          recipe.view(conditions).of(example, random, side, targets, PilResize.Filter.BOX);
      return new Pair(square.other().orElseThrow(), square.image());
    }
    int small = side / factor;
    View.Square square =
        recipe.view(targets).of(example, random, small, conditions, PilResize.Filter.LANCZOS);
    float[] enlarged =
        PilResize.resize(
                new Raster(conditions, small, small, square.other().orElseThrow()),
                side,
                side,
                PilResize.Filter.BICUBIC)
            .data();
    float[] target = square.image();
    if (residual) {
      target = target.clone();
      for (int i = 0; i < target.length; i++) {
        target[i] = (float) (residualScale * (target[i] - enlarged[i]));
      }
    }
    return new Pair(target, enlarged);
  }

  @Override
  public void export(List<NamedWeight> trained) {
    new TrainedFolder(base, model()).write(trained, Map.of(UNET, ""), recipe.storedAs());
  }

  @Override
  public Path model() {
    return recipe.out().resolve("model");
  }

  @Override
  public List<GenerationSpec> samples() {
    List<GenerationSpec> specs = new ArrayList<>();
    for (int i = 0; i < recipe.samples().count(); i++) {
      GenerationSpec spec =
          GenerationSpec.of("sample " + i)
              .with(Parameters.SEED, (long) i)
              .with(Parameters.STEPS, (long) recipe.samples().steps());
      specs.add(paired ? spec.with(Parameters.IMAGE, condition(i)) : spec);
    }
    return specs;
  }

  /** An example's image, or its small one, cut from the middle. */
  private Raster condition(int index) {
    Example example = examples.at(index % examples.size());
    int channels = unet.inChannels() - targets;
    boolean upscales = recipe.task() == Task.UPSCALE;
    int side = recipe.side() / factor;
    Example shown =
        upscales ? new Example(example.other().orElseThrow(), "", Optional.empty()) : example;
    float[] values =
        new View(side, channels, Augmentation.NONE).of(shown, Batches.random(0, 0)).clone();
    for (int i = 0; i < values.length; i++) {
      values[i] = Math.max(0, Math.min(1, (values[i] + 1) / 2));
    }
    return new Raster(channels, side, side, values);
  }

  @Override
  public void finished() throws IOException {
    if (heldOut.isPresent()) {
      new SampleReport(recipe, model(), examples, heldOut.get()).write();
    }
  }

  @Override
  public void close() {
    weights.close();
  }
}
