/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.training;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.engine.Engines;
import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.engine.Optimizer;
import io.github.flinkdiffusion.ops.engine.Program;
import io.github.flinkdiffusion.ops.engine.TrainableNetwork;
import io.github.flinkdiffusion.ops.engine.TrainableNetwork.NamedWeight;
import io.github.flinkdiffusion.ops.graph.Arithmetic;
import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.ParameterSource;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.network.AutoencoderKL;
import io.github.flinkdiffusion.ops.network.AutoencoderKLConfig;
import io.github.flinkdiffusion.ops.network.ClipText;
import io.github.flinkdiffusion.ops.network.ClipTextConfig;
import io.github.flinkdiffusion.ops.network.UNet2D;
import io.github.flinkdiffusion.ops.network.UNet2DCondition;
import io.github.flinkdiffusion.ops.network.UNet2DConditionConfig;
import io.github.flinkdiffusion.ops.network.UNet2DConfig;
import io.github.flinkdiffusion.ops.pipeline.DiffusionPipeline;
import io.github.flinkdiffusion.ops.pipeline.GenerationSpec;
import io.github.flinkdiffusion.ops.pipeline.Parameters;
import io.github.flinkdiffusion.ops.pipeline.PipelineSettings;
import io.github.flinkdiffusion.ops.pipeline.Pipelines;
import io.github.flinkdiffusion.ops.pipeline.Trajectory;
import io.github.flinkdiffusion.ops.training.Distillation.Scales;
import io.github.flinkdiffusion.ops.weights.Config;
import io.github.flinkdiffusion.ops.weights.DType;
import io.github.flinkdiffusion.ops.weights.HeapTensors;
import io.github.flinkdiffusion.ops.weights.Lora;
import io.github.flinkdiffusion.ops.weights.ModelFolder;
import io.github.flinkdiffusion.ops.weights.SafetensorsWriter;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Predicate;
import java.util.function.UnaryOperator;

/**
 * Trains a tiny model of each kind for a few steps, writes what a training writes, and beside each
 * the image that this project makes of it: for {@code src/test/python/check_training_out.py}, which
 * makes the images with diffusers.
 *
 * <p>Each case is a folder with {@code case.json} (what to open and how to call it) and {@code
 * image.safetensors}.
 */
final class WriteTrainedModels {
  private static final int STEPS = 3;
  private static final int TOKENS = 77;

  /** So high that three steps are seen in an image. */
  private static final double RATE = 5e-3;

  private static final String WORD = "<thing>";
  private static final ObjectMapper JSON = new ObjectMapper();

  private final Path out;

  private WriteTrainedModels(Path out) {
    this.out = out;
  }

  /**
   * @param args the folder to write to
   */
  public static void main(String[] args) throws IOException {
    write(Path.of(args[0]));
  }

  static void write(Path out) throws IOException {
    WriteTrainedModels cases = new WriteTrainedModels(out);
    cases.unconditional();
    cases.textToImage();
    cases.autoencoder();
    cases.adapters();
    cases.newTokens();
    cases.students();
    cases.controlNet();
  }

  private static ModelFolder stableDiffusion() {
    return ModelFolder.open(Fixture.MODELS.resolve("tiny-sd1"));
  }

  private void unconditional() throws IOException {
    ModelFolder base = ModelFolder.open(Fixture.MODELS.resolve("tiny-ddpm"));
    UNet2D unet = new UNet2D(UNet2DConfig.from(base.component("unet").config()));
    DiffusionObjective objective =
        new DiffusionObjective(Denoiser.unconditional(unet), 3, PredictionTarget.EPSILON);
    DiffusionInputs inputs =
        new DiffusionInputs(objective, TrainingArithmeticTest.levels("linear"));
    List<NamedWeight> trained;
    try (TensorStore weights = base.component("unet").open()) {
      trained =
          train(
              objective.graph(),
              TrainedWeights.source(weights),
              name -> true,
              position ->
                  inputs.drawn(
                      Batches.random(1, position),
                      Gaussians.draw(Batches.random(2, position), 2, 3, 16, 16)));
    }
    Path folder = out.resolve("unconditional/model");
    new TrainedFolder(base, folder).write(trained, Map.of("unet", ""), DType.F32);
    writeCase("unconditional", folder, List.of(), Map.of(), "");
  }

  private void textToImage() throws IOException {
    Path folder = out.resolve("text-to-image/model");
    new TrainedFolder(stableDiffusion(), folder)
        .write(
            trainText(objective().graph(), source(), name -> true, 5),
            Map.of("unet", "unet.", "text_encoder", "text_encoder."),
            DType.F32);
    writeCase("text-to-image", folder, List.of(), Map.of(), "a photo of a small cat");
  }

  private void autoencoder() throws IOException {
    ModelFolder base = stableDiffusion();
    AutoencoderKL vae = new AutoencoderKL(AutoencoderKLConfig.from(base.component("vae").config()));
    Graph graph = new AutoencoderObjective(vae, 4, ReconstructionLoss.DEFAULT).graph();
    List<NamedWeight> trained;
    try (TensorStore weights = base.component("vae").open()) {
      trained =
          train(
              graph,
              TrainedWeights.source(weights),
              name -> true,
              position ->
                  new HostTensor[] {
                    Gaussians.draw(Batches.random(3, position), 1, 3, 32, 32),
                    Gaussians.draw(Batches.random(4, position), 1, 4, 4, 4),
                    new HostTensor.Floats(new float[] {1e-6f}, 1)
                  });
    }
    Path folder = out.resolve("autoencoder/model");
    new TrainedFolder(base, folder).write(trained, Map.of("vae", ""), DType.F32);
    writeCase("autoencoder", folder, List.of(), Map.of(), "a photo of a small cat");
  }

  private void adapters() throws IOException {
    for (double alpha : new double[] {4, 2}) {
      String name = alpha == 4 ? "lora" : "lora-alpha";
      LowRankAdapters adapters = new LowRankAdapters(LowRankAdapters.ATTENTION, 4, alpha);
      List<NamedWeight> trained =
          trainText(
              adapters.in(objective().graph()),
              LowRankAdapters.weights(source(), 7),
              LowRankAdapters::isAdapter,
              6);
      Path file = out.resolve(name).resolve("pytorch_lora_weights.safetensors");
      adapters.write(file, trained);
      writeCase(
          name,
          Fixture.MODELS.resolve("tiny-sd1"),
          List.of(new Lora(file, 1)),
          Map.of("lora", file),
          "a photo of a small cat");
    }
  }

  private void newTokens() throws IOException {
    NewTokens tokens =
        new NewTokens("text_encoder.text_model.embeddings.token_embedding.weight", 1);
    ModelFolder base = stableDiffusion();
    float[] first;
    int vocabulary;
    try (TensorStore text = base.component("text_encoder").open()) {
      String table = tokens.table().substring("text_encoder.".length());
      long[] shape = text.info(table).shape();
      vocabulary = (int) shape[0];
      first = Arrays.copyOf(text.floats(table), (int) shape[1]);
    }
    List<NamedWeight> trained =
        trainText(
            tokens.in(objective().graph()),
            tokens.weights(source(), first),
            tokens.parameter()::equals,
            vocabulary);
    Path file = out.resolve("inversion/learned_embeds.safetensors");
    tokens.write(file, trained, WORD);
    Path folder = out.resolve("inversion/model");
    new TrainedFolder(base, folder).writeWithTokens(tokens, trained, List.of(WORD));
    writeCase(
        "inversion",
        folder,
        List.of(),
        Map.of("embedding", file, "base", Fixture.MODELS.resolve("tiny-sd1")),
        "a photo of a " + WORD);
  }

  private void controlNet() throws IOException {
    ModelFolder base = stableDiffusion();
    ControlNetFolder folder = new ControlNetFolder(base, List.of(16, 32, 96, 256));
    DiffusionObjective objective =
        new DiffusionObjective(
            Denoiser.ofControl(
                new ClipText(ClipTextConfig.from(base.component("text_encoder").config())),
                folder.networks(),
                TOKENS),
            4,
            PredictionTarget.EPSILON);
    DiffusionInputs inputs =
        new DiffusionInputs(objective, TrainingArithmeticTest.levels("scaled_linear"));
    Raster control = control();
    long[] ids = new long[TOKENS];
    Arrays.fill(ids, 5);
    List<NamedWeight> trained;
    try (TensorStore unet = base.component("unet").open();
        TensorStore text = base.component("text_encoder").open()) {
      trained =
          train(
              objective.graph(),
              new ControlNetWeights(unet, text, 1),
              ControlNetWeights::isControlNet,
              position ->
                  inputs.drawn(
                      Batches.random(1, position),
                      Gaussians.draw(Batches.random(2, position), 1, 4, 8, 8),
                      new HostTensor.Longs(ids, 1, TOKENS),
                      new HostTensor.Floats(control.data(), 1, 3, 64, 64)));
    }
    Path at = out.resolve("controlnet");
    folder.write(at.resolve("model"), trained);
    Path file = at.resolve("control.safetensors");
    Files.createDirectories(at);
    SafetensorsWriter.write(
        file, HeapTensors.builder().add("image", control.data(), 3, 64, 64).build());
    writeCase(
        "controlnet",
        at.resolve("model"),
        List.of(),
        Map.of(
            "control",
            file,
            "controlnet",
            at.resolve("model/controlnet"),
            "base",
            Fixture.MODELS.resolve("tiny-sd1")),
        "a photo of a small cat");
  }

  private static Raster control() {
    float[] values = new float[3 * 64 * 64];
    for (int i = 0; i < values.length; i++) {
      values[i] = i * 7 % 29 / 28f;
    }
    return new Raster(3, 64, 64, values);
  }

  /** A student of each kind; the last takes part of its teacher's blocks. */
  private void students() throws IOException {
    Scales scales = new Scales(2, 8);
    UnaryOperator<ObjectNode> embedding = unet -> unet.put("time_cond_proj_dim", 16);
    student("student-lcm", new Distillation.Consistency(50, 10, scales), embedding);
    student(
        "student-lcm-one-scale",
        new Distillation.Consistency(50, 10, new Scales(4, 4)),
        UnaryOperator.identity());
    student("student-guidance", new Distillation.Guidance(scales, LossWeight.UNIFORM), embedding);
    student(
        "student-progressive",
        new Distillation.Progressive(4, Scales.NONE),
        UnaryOperator.identity());
    student(
        "student-pruned",
        new Distillation.Pruned(1, 1, 1, LossWeight.UNIFORM),
        unet -> {
          unet.putArray("block_out_channels").add(16).add(16).add(16).add(32);
          return unet;
        });
  }

  private void student(String name, Distillation distillation, UnaryOperator<ObjectNode> student)
      throws IOException {
    ModelFolder base = stableDiffusion();
    // The tiny model predicts noise; a progressive student's teacher must not.
    PredictionTarget target =
        distillation instanceof Distillation.Progressive
            ? PredictionTarget.V
            : PredictionTarget.EPSILON;
    if (target == PredictionTarget.V) {
      Path teacher = out.resolve(name).resolve("teacher");
      new TrainedFolder(base, teacher)
          .edited(
              "scheduler/scheduler_config.json",
              config -> config.put("prediction_type", target.predictionType()))
          .write(List.of(), Map.of(), DType.F32);
      base = ModelFolder.open(teacher);
    }
    Config before = base.component("unet").config();
    Config after = Config.of("student", student.apply(before.node().deepCopy()));
    DistillationObjective objective =
        new DistillationObjective(
            distillation,
            party(before),
            party(after),
            Optional.of(
                new DistillationObjective.Prompts(
                    new ClipText(ClipTextConfig.from(base.component("text_encoder").config())),
                    TOKENS)),
            target,
            Distance.SQUARED,
            HuberThreshold.DEFAULT);
    long[] ids = new long[2 * TOKENS];
    Arrays.fill(ids, 5);
    HostTensor.Longs prompts = new HostTensor.Longs(ids, 2, TOKENS);
    HostTensor.Longs empty = new HostTensor.Longs(new long[2 * TOKENS], 2, TOKENS);
    List<NamedWeight> trained;
    try (TensorStore unet = base.component("unet").open();
        TensorStore text = base.component("text_encoder").open()) {
      trained =
          train(
              objective.graph(),
              new DistillationWeights(unet, text, 1),
              DistillationObjective::isStudent,
              position ->
                  objective.inputs(
                      Batches.random(1, position),
                      TrainingArithmeticTest.levels("scaled_linear"),
                      Gaussians.draw(Batches.random(2, position), 2, 4, 8, 8),
                      prompts,
                      empty));
    }
    Path folder = out.resolve(name).resolve("model");
    new StudentFolder(base, distillation, student).write(folder, trained, DType.F32);
    writeCase(name, folder, List.of(), Map.of(), "a photo of a small cat");
  }

  private static DistillationObjective.Party party(Config unet) {
    UNet2DConditionConfig config = UNet2DConditionConfig.from(unet);
    return new DistillationObjective.Party(
        DistilledDenoiser.ofContext(new UNet2DCondition(config)), config.guidanceEmbedding());
  }

  private static DiffusionObjective objective() {
    ModelFolder model = stableDiffusion();
    return new DiffusionObjective(
        Denoiser.ofText(
            new ClipText(ClipTextConfig.from(model.component("text_encoder").config())),
            new UNet2DCondition(UNet2DConditionConfig.from(model.component("unet").config())),
            TOKENS),
        4,
        PredictionTarget.EPSILON);
  }

  private static ParameterSource source() {
    return (name, shape, out) -> {
      String component = name.substring(0, name.indexOf('.'));
      try (TensorStore weights = stableDiffusion().component(component).open()) {
        weights.writeTo(name.substring(component.length() + 1), DType.F32, out);
      }
    };
  }

  private static List<NamedWeight> trainText(
      Graph graph, ParameterSource weights, Predicate<String> trained, long word) {
    DiffusionInputs inputs =
        new DiffusionInputs(objective(), TrainingArithmeticTest.levels("scaled_linear"));
    long[] ids = new long[2 * TOKENS];
    Arrays.fill(ids, word);
    return train(
        graph,
        weights,
        trained,
        position ->
            inputs.drawn(
                Batches.random(1, position),
                Gaussians.draw(Batches.random(2, position), 2, 4, 8, 8),
                new HostTensor.Longs(ids, 2, TOKENS)));
  }

  private static List<NamedWeight> train(
      Graph graph, ParameterSource weights, Predicate<String> trained, Batches batches) {
    Program program = Program.of("objective", graph, Precision.FLOAT32, weights);
    try (TrainableNetwork network =
        Engines.standard()
            .trainer()
            .train(program, DeviceSpec.CPU, Arithmetic.AS_STORED, trained)) {
      for (int step = 0; step < STEPS; step++) {
        network.step(Optimizer.AdamW.DEFAULT, RATE, 0, batches.at(step));
      }
      return network.weights();
    }
  }

  private void writeCase(
      String name, Path folder, List<Lora> loras, Map<String, Path> files, String prompt)
      throws IOException {
    Raster image =
        files.containsKey("control")
            ? image(folder, loras, prompt, spec -> spec.with(Parameters.CONTROL_IMAGE, control()))
            : image(folder, loras, prompt);
    Path at = Files.createDirectories(out.resolve(name));
    SafetensorsWriter.write(
        at.resolve("image.safetensors"),
        HeapTensors.builder()
            .add("image", image.data(), image.channels(), image.height(), image.width())
            .build());
    ObjectNode json = JSON.createObjectNode().put("model", folder.toAbsolutePath().toString());
    files.forEach((key, file) -> json.put(key, file.toAbsolutePath().toString()));
    Files.writeString(at.resolve("case.json"), json.put("prompt", prompt).toPrettyString());
  }

  /** The image that this project makes; without a prompt, an unconditional model's. */
  static Raster image(Path folder, List<Lora> loras, String prompt) {
    return image(folder, loras, prompt, UnaryOperator.identity());
  }

  private static Raster image(
      Path folder, List<Lora> loras, String prompt, UnaryOperator<GenerationSpec> more) {
    GenerationSpec spec =
        GenerationSpec.of("case").with(Parameters.SEED, 3L).with(Parameters.STEPS, 4L);
    if (!prompt.isEmpty()) {
      spec = spec.with(Parameters.PROMPT, prompt).with(Parameters.GUIDANCE_SCALE, 5.0);
    }
    GenerationSpec asked = more.apply(spec);
    try (DiffusionPipeline pipeline =
        Pipelines.open(folder, PipelineSettings.on(DeviceSpec.CPU).withLoras(loras))) {
      List<Trajectory> alone = pipeline.start(List.of(pipeline.model().prepare(asked)));
      while (!alone.get(0).done()) {
        pipeline.step(alone);
      }
      return pipeline.finish(alone).get(0).image();
    }
  }
}
