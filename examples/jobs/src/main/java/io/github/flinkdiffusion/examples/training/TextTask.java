/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.training;

import io.github.flinkdiffusion.examples.training.Recipe.Task;
import io.github.flinkdiffusion.examples.training.data.Example;
import io.github.flinkdiffusion.examples.training.data.ExampleSet;
import io.github.flinkdiffusion.examples.training.data.Shuffled;
import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.engine.TrainableNetwork.NamedWeight;
import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.ParameterSource;
import io.github.flinkdiffusion.ops.network.ClipText;
import io.github.flinkdiffusion.ops.network.ClipTextConfig;
import io.github.flinkdiffusion.ops.network.UNet2DCondition;
import io.github.flinkdiffusion.ops.network.UNet2DConditionConfig;
import io.github.flinkdiffusion.ops.pipeline.GenerationSpec;
import io.github.flinkdiffusion.ops.pipeline.Parameters;
import io.github.flinkdiffusion.ops.tokenizer.ClipTokenizer;
import io.github.flinkdiffusion.ops.training.Batches;
import io.github.flinkdiffusion.ops.training.Denoiser;
import io.github.flinkdiffusion.ops.training.DiffusionInputs;
import io.github.flinkdiffusion.ops.training.Dropout;
import io.github.flinkdiffusion.ops.training.LowRankAdapters;
import io.github.flinkdiffusion.ops.training.NewTokens;
import io.github.flinkdiffusion.ops.training.TrainedFolder;
import io.github.flinkdiffusion.ops.weights.IllegalConfigException;
import io.github.flinkdiffusion.ops.weights.Lora;
import io.github.flinkdiffusion.ops.weights.ModelFolder;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.random.RandomGenerator;

/**
 * Stable Diffusion's denoising network and text encoder: as a whole, by adapters, or by a new word.
 * Images are encoded for each batch, so that no example is seen twice in the same cut.
 */
final class TextTask implements TrainingTask {
  private static final String TEXT = Denoiser.TEXT_ENCODER;
  private static final String UNET = Denoiser.UNET;
  private static final String TABLE = TEXT + ".text_model.embeddings.token_embedding.weight";

  private final Recipe recipe;
  private final ModelFolder base;
  private final ExampleSet examples;
  private final Shuffled order;
  private final ClipTokenizer tokenizer;
  private final DiffusionInputs inputs;
  private final BaseWeights weights;
  private final LatentEncoder encoder;

  /** Of the task that needs them. */
  private final Optional<LowRankAdapters> adapters;

  private final Optional<NewTokens> newTokens;
  private final List<String> words;
  private final float[] firstRow;
  private final Map<String, Long> newIds = new HashMap<>();

  TextTask(Recipe recipe, ExampleSet examples) {
    this.recipe = recipe;
    this.examples = examples;
    this.base = ModelFolder.open(recipe.model());
    this.order = new Shuffled(examples.size(), recipe.settings().seed());
    this.tokenizer = ClipTokenizer.load(base.component("tokenizer"));
    UNet2DConditionConfig unet = UNet2DConditionConfig.from(base.component(UNET).config());
    this.inputs =
        Objectives.inputs(
            recipe,
            base,
            Denoiser.ofText(
                new ClipText(ClipTextConfig.from(base.component(TEXT).config())),
                new UNet2DCondition(unet),
                tokenizer.maxLength()),
            LatentEncoder.config(base).latentChannels());
    Section lora = recipe.lora();
    this.adapters =
        recipe.task() == Task.LORA
            ? Optional.of(
                new LowRankAdapters(
                    path ->
                        LowRankAdapters.ATTENTION.test(path)
                            && (path.startsWith(UNET + ".") || lora.flag(TEXT, false)),
                    lora.whole("rank", 4, 1),
                    lora.number("alpha", lora.whole("rank", 4, 1))))
            : Optional.empty();
    Section token = recipe.token();
    int count = token.whole("count", 1, 1);
    this.newTokens =
        recipe.task() == Task.INVERSION
            ? Optional.of(new NewTokens(TABLE, count))
            : Optional.empty();
    this.words = new ArrayList<>();
    if (newTokens.isPresent()) {
      String word = token.text("word");
      for (int i = 0; i < count; i++) {
        // diffusers names the parts of a word of several tokens so.
        words.add(i == 0 ? word : word + "_" + i);
      }
    }
    this.firstRow = newTokens.isPresent() ? firstRow(token.text("initial")) : new float[0];
    this.weights =
        new BaseWeights(base, Map.of(TEXT, TEXT + ".", UNET, UNET + "."), recipe.settings().seed());
    this.encoder = LatentEncoder.of(base, recipe);
  }

  private float[] firstRow(String word) {
    int[] ids = tokenizer.encode(word).ids();
    if (tokenizer.encode("").ids()[1] != ids[2] || ids[1] == ids[2]) {
      throw new IllegalConfigException(
          "The recipe's token.initial is '%s', which is no single token of the model; expected one, such as 'toy'."
              .formatted(word));
    }
    try (TensorStore text = base.component(TEXT).open()) {
      String table = TABLE.substring(TEXT.length() + 1);
      int size = (int) text.info(table).shape()[1];
      long rows = text.info(table).shape()[0];
      for (int i = 0; i < words.size(); i++) {
        newIds.put(words.get(i), rows + i);
      }
      return Arrays.copyOfRange(text.floats(table), ids[1] * size, (ids[1] + 1) * size);
    }
  }

  @Override
  public Graph graph() {
    Graph graph = new Dropout(Dropout.DIFFUSERS, recipe.dropout()).in(inputs.objective().graph());
    Graph adapted = adapters.map(each -> each.in(graph)).orElse(graph);
    return newTokens.map(each -> each.in(adapted)).orElse(adapted);
  }

  @Override
  public ParameterSource weights() {
    if (adapters.isPresent()) {
      return LowRankAdapters.weights(weights, recipe.settings().seed());
    }
    return newTokens.map(each -> each.weights(weights, firstRow)).orElse(weights);
  }

  @Override
  public boolean trains(String parameter) {
    if (adapters.isPresent()) {
      return LowRankAdapters.isAdapter(parameter);
    }
    return newTokens
        .map(each -> parameter.equals(each.parameter()))
        .orElse(parameter.startsWith(UNET + ".") || recipe.loss().trainsTextEncoder());
  }

  @Override
  public HostTensor[] at(long position) {
    RandomGenerator random = Batches.random(recipe.settings().seed(), position);
    int batch = recipe.batch();
    int side = recipe.side();
    int tokens = tokenizer.maxLength();
    float[] images = new float[batch * 3 * side * side];
    long[] ids = new long[batch * tokens];
    for (int i = 0; i < batch; i++) {
      Example example = examples.at(order.at(position * batch + i));
      float[] image = recipe.view(3).of(example, random);
      System.arraycopy(image, 0, images, i * image.length, image.length);
      boolean dropped = newTokens.isEmpty() && random.nextDouble() < recipe.loss().promptDropout();
      System.arraycopy(ids(dropped ? "" : caption(example)), 0, ids, i * tokens, tokens);
    }
    return inputs.drawn(
        random,
        encoder.latents(new HostTensor.Floats(images, batch, 3, side, side), random),
        new HostTensor.Longs(ids, batch, tokens));
  }

  /** The recipe's caption for new words, in which {@code {token}} is the word, else the data's. */
  private String caption(Example example) {
    String caption = example.caption().isEmpty() ? recipe.caption().orElse("") : example.caption();
    if (newTokens.isEmpty()) {
      return caption;
    }
    return recipe.caption().orElse("a photo of a {token}").replace("{token}", words());
  }

  private String words() {
    return String.join(" ", words);
  }

  private long[] ids(String prompt) {
    if (newTokens.isEmpty()) {
      return Arrays.stream(tokenizer.encode(prompt).ids()).asLongStream().toArray();
    }
    // The base's tokenizer does not know the new words: what is between them is encoded by itself.
    int[] empty = tokenizer.encode("").ids();
    long[] ids = Arrays.stream(empty).asLongStream().toArray();
    int at = 1;
    for (String part : prompt.split(" ")) {
      long[] more =
          newIds.containsKey(part)
              ? new long[] {newIds.get(part)}
              : withoutEnds(tokenizer.encode(part).ids(), empty);
      for (int i = 0; i < more.length && at < ids.length - 1; i++) {
        ids[at++] = more[i];
      }
    }
    ids[at] = empty[1];
    return ids;
  }

  /** Up to the token that ends a text. */
  private static long[] withoutEnds(int[] ids, int[] empty) {
    int end = 1;
    while (end < ids.length && ids[end] != empty[1]) {
      end++;
    }
    return Arrays.stream(Arrays.copyOfRange(ids, 1, end)).asLongStream().toArray();
  }

  @Override
  public void export(List<NamedWeight> trained) {
    if (adapters.isPresent()) {
      adapters.get().write(loraFile(), trained);
    } else if (newTokens.isPresent()) {
      newTokens
          .get()
          .write(recipe.out().resolve("learned_embeds.safetensors"), trained, words.get(0));
      new TrainedFolder(base, model()).writeWithTokens(newTokens.get(), trained, words);
    } else {
      Map<String, String> prefixes = new HashMap<>(Map.of(UNET, UNET + "."));
      if (recipe.loss().trainsTextEncoder()) {
        prefixes.put(TEXT, TEXT + ".");
      }
      new TrainedFolder(base, model()).write(trained, prefixes, recipe.storedAs());
    }
  }

  private Path loraFile() {
    return recipe.out().resolve("pytorch_lora_weights.safetensors");
  }

  @Override
  public Path model() {
    return adapters.isPresent() ? recipe.model() : recipe.out().resolve("model");
  }

  @Override
  public List<Lora> loras() {
    return adapters.isPresent() ? List.of(new Lora(loraFile(), 1)) : List.of();
  }

  @Override
  public List<GenerationSpec> samples() {
    List<String> prompts = recipe.samples().prompts();
    List<GenerationSpec> specs = new ArrayList<>();
    for (int i = 0; i < recipe.samples().count(); i++) {
      String prompt =
          prompts.isEmpty()
              ? caption(examples.at(i % examples.size()))
              : prompts.get(i % prompts.size()).replace("{token}", words());
      specs.add(
          GenerationSpec.of(prompt)
              .with(Parameters.PROMPT, prompt)
              .with(Parameters.SEED, (long) i)
              .with(Parameters.STEPS, (long) recipe.samples().steps())
              .with(Parameters.GUIDANCE_SCALE, recipe.samples().guidance()));
    }
    return specs;
  }

  @Override
  public void close() {
    weights.close();
    encoder.close();
  }
}
