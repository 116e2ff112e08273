/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.training;

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
import io.github.flinkdiffusion.ops.network.ClipText;
import io.github.flinkdiffusion.ops.network.ClipTextConfig;
import io.github.flinkdiffusion.ops.pipeline.GenerationSpec;
import io.github.flinkdiffusion.ops.pipeline.Parameters;
import io.github.flinkdiffusion.ops.tokenizer.ClipTokenizer;
import io.github.flinkdiffusion.ops.training.Batches;
import io.github.flinkdiffusion.ops.training.ControlNetFolder;
import io.github.flinkdiffusion.ops.training.ControlNetWeights;
import io.github.flinkdiffusion.ops.training.Denoiser;
import io.github.flinkdiffusion.ops.training.DiffusionInputs;
import io.github.flinkdiffusion.ops.training.Dropout;
import io.github.flinkdiffusion.ops.weights.IllegalConfigException;
import io.github.flinkdiffusion.ops.weights.ModelFolder;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.random.RandomGenerator;

/**
 * A ControlNet of Stable Diffusion, which learns to follow the second image of each pair. The model
 * itself does not change.
 */
final class ControlNetTask implements TrainingTask {
  private static final int COLORS = 3;
  private static final int[] EMBEDDING = {16, 32, 96, 256};

  private final Recipe recipe;
  private final ExampleSet examples;
  private final Shuffled order;
  private final ClipTokenizer tokenizer;
  private final ControlNetFolder folder;
  private final DiffusionInputs inputs;
  private final LatentEncoder encoder;
  private final TensorStore unet;
  private final TensorStore text;

  ControlNetTask(Recipe recipe, ExampleSet examples) {
    this.recipe = recipe;
    this.examples = examples;
    this.order = new Shuffled(examples.size(), recipe.settings().seed());
    ModelFolder base = ModelFolder.open(recipe.model());
    this.tokenizer = ClipTokenizer.load(base.component("tokenizer"));
    this.folder =
        new ControlNetFolder(
            base,
            Arrays.stream(recipe.controlnet().config().integers("embedding", EMBEDDING))
                .boxed()
                .toList());
    if (recipe.side() % folder.scaleFactor() != 0) {
      throw new IllegalConfigException(
          "The recipe's side is %d; expected a multiple of %d, a latent's pixel."
              .formatted(recipe.side(), folder.scaleFactor()));
    }
    this.inputs =
        Objectives.inputs(
            recipe,
            base,
            Denoiser.ofControl(
                new ClipText(ClipTextConfig.from(base.component(Denoiser.TEXT_ENCODER).config())),
                folder.networks(),
                tokenizer.maxLength()),
            LatentEncoder.config(base).latentChannels());
    this.encoder = LatentEncoder.of(base, recipe);
    this.unet = base.component(Denoiser.UNET).open();
    this.text = base.component(Denoiser.TEXT_ENCODER).open();
  }

  /** Dropout is in the ControlNet alone: what does not learn is not disturbed. */
  @Override
  public Graph graph() {
    return new Dropout(
            path -> ControlNetWeights.isControlNet(path) && Dropout.DIFFUSERS.test(path),
            recipe.dropout())
        .in(inputs.objective().graph());
  }

  @Override
  public ParameterSource weights() {
    return new ControlNetWeights(unet, text, recipe.settings().seed());
  }

  @Override
  public boolean trains(String parameter) {
    return ControlNetWeights.isControlNet(parameter);
  }

  @Override
  public HostTensor[] at(long position) {
    RandomGenerator random = Batches.random(recipe.settings().seed(), position);
    int batch = recipe.batch();
    int side = recipe.side();
    int tokens = tokenizer.maxLength();
    float[] images = new float[batch * COLORS * side * side];
    float[] controls = new float[images.length];
    long[] ids = new long[batch * tokens];
    for (int i = 0; i < batch; i++) {
      Example example = examples.at(order.at(position * batch + i));
      requireControl(example);
      View.Square square =
          recipe.view(COLORS).of(example, random, side, COLORS, PilResize.Filter.LANCZOS);
      float[] control = zeroToOne(square.other().orElseThrow());
      System.arraycopy(square.image(), 0, images, i * control.length, control.length);
      System.arraycopy(control, 0, controls, i * control.length, control.length);
      boolean dropped = random.nextDouble() < recipe.loss().promptDropout();
      long[] row =
          Arrays.stream(tokenizer.encode(dropped ? "" : caption(example)).ids())
              .asLongStream()
              .toArray();
      System.arraycopy(row, 0, ids, i * tokens, tokens);
    }
    return inputs.drawn(
        random,
        encoder.latents(new HostTensor.Floats(images, batch, COLORS, side, side), random),
        new HostTensor.Longs(ids, batch, tokens),
        new HostTensor.Floats(controls, batch, COLORS, side, side));
  }

  private static void requireControl(Example example) {
    if (example.other().isEmpty()) {
      throw new TrainingDataException(
          "An example has no control image; expected data of the layout pairs, or another that has"
              + " two images an example.");
    }
  }

  private static float[] zeroToOne(float[] signed) {
    float[] values = new float[signed.length];
    for (int i = 0; i < values.length; i++) {
      values[i] = Math.max(0, Math.min(1, (signed[i] + 1) / 2));
    }
    return values;
  }

  private String caption(Example example) {
    return example.caption().isEmpty() ? recipe.caption().orElse("") : example.caption();
  }

  @Override
  public void export(List<NamedWeight> trained) {
    folder.write(model(), trained);
  }

  @Override
  public Path model() {
    return recipe.out().resolve("model");
  }

  @Override
  public List<GenerationSpec> samples() {
    List<String> prompts = recipe.samples().prompts();
    List<GenerationSpec> specs = new ArrayList<>();
    for (int i = 0; i < recipe.samples().count(); i++) {
      Example example = examples.at(i % examples.size());
      String prompt = prompts.isEmpty() ? caption(example) : prompts.get(i % prompts.size());
      specs.add(
          GenerationSpec.of(prompt)
              .with(Parameters.PROMPT, prompt)
              .with(Parameters.CONTROL_IMAGE, control(example))
              .with(Parameters.SEED, (long) i)
              .with(Parameters.STEPS, (long) recipe.samples().steps())
              .with(Parameters.GUIDANCE_SCALE, recipe.samples().guidance()));
    }
    return specs;
  }

  /** Cut from the middle; a sample has its size. */
  private Raster control(Example example) {
    requireControl(example);
    int side = recipe.side();
    View.Square square =
        new View(side, COLORS, Augmentation.NONE)
            .of(example, Batches.random(0, 0), side, COLORS, PilResize.Filter.LANCZOS);
    return new Raster(COLORS, side, side, zeroToOne(square.other().orElseThrow()));
  }

  @Override
  public void close() {
    unet.close();
    text.close();
    encoder.close();
  }
}
