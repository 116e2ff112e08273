/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.training;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.flinkdiffusion.ops.engine.TrainableNetwork.NamedWeight;
import io.github.flinkdiffusion.ops.weights.DType;
import io.github.flinkdiffusion.ops.weights.HeapTensors;
import io.github.flinkdiffusion.ops.weights.ModelFolder;
import io.github.flinkdiffusion.ops.weights.SafetensorsWriter;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import io.github.flinkdiffusion.ops.weights.TensorViews;
import io.github.flinkdiffusion.ops.weights.WeightsException;
import java.io.IOException;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.UnaryOperator;
import org.apache.flink.annotation.Internal;

/**
 * A model folder in diffusers' layout, of another one whose configs it has and of trained weights.
 * Components that were not trained are copied, and so are the lists of what a model knows, {@code
 * vocabulary.json} and {@code domain.json}.
 */
@Internal
public final class TrainedFolder {
  private static final String MODEL_INDEX = "model_index.json";

  /** What a model knows, for programs: of its own, or of those that it was trained from. */
  private static final List<String> ABOUT = List.of("vocabulary.json", "domain.json");

  /** Names of files of weights, whatever their format. */
  private static final String WEIGHTS =
      ".*\\.(safetensors|safetensors\\.index\\.json|bin|bin\\.index\\.json|ckpt|msgpack|onnx)";

  private static final ObjectMapper JSON = new ObjectMapper();

  private final ModelFolder base;
  private final Path out;
  private final Map<String, UnaryOperator<ObjectNode>> edits;

  /**
   * @param base the folder that was trained from; needs no weights of components that were trained
   * @param out the folder to write; files in it are replaced
   */
  public TrainedFolder(ModelFolder base, Path out) {
    this(base, out, Map.of());
  }

  private TrainedFolder(ModelFolder base, Path out, Map<String, UnaryOperator<ObjectNode>> edits) {
    this.base = base;
    this.out = out;
    this.edits = edits;
  }

  /**
   * The same with another config in it, for a component that is not what it was in the base, or
   * that the base does not have.
   *
   * @param file of the config, as {@code unet/config.json}
   * @param edit gets the base's config, an empty one if it has none, and gives what is written
   */
  public TrainedFolder edited(String file, UnaryOperator<ObjectNode> edit) {
    Map<String, UnaryOperator<ObjectNode>> more = new HashMap<>(edits);
    more.put(file, edit);
    return new TrainedFolder(base, out, more);
  }

  /**
   * Writes the folder.
   *
   * @param trained weights by the graph's names; those that a component's file has and that were
   *     not trained are taken from the base
   * @param prefixes of the graph's names, by the component that was trained
   * @param dtype of the trained components' weights
   * @throws WeightsException if a file cannot be read or written
   */
  public void write(List<NamedWeight> trained, Map<String, String> prefixes, DType dtype) {
    copyExcept(prefixes.keySet());
    prefixes.forEach((component, prefix) -> writeWeights(component, prefix, trained, dtype));
  }

  private void writeWeights(
      String component, String prefix, List<NamedWeight> trained, DType dtype) {
    Map<String, NamedWeight> byName = new HashMap<>();
    for (NamedWeight weight : trained) {
      if (weight.name().startsWith(prefix)) {
        byName.put(weight.name().substring(prefix.length()), weight);
      }
    }
    HeapTensors.Builder tensors = HeapTensors.builder();
    byName.forEach(
        (name, weight) -> tensors.add(name, weight.value().data(), weight.value().shape()));
    if (base.has(component) && !base.component(component).weightFiles().isEmpty()) {
      try (TensorStore before = base.component(component).open()) {
        for (String name : before.names()) {
          // A component with another config has other tensors, all of which were trained.
          if (!byName.containsKey(name) && !edits.containsKey(component + "/config.json")) {
            addAsStored(tensors, before, name);
          }
        }
      }
    }
    writeWeights(component, tensors.build(), dtype);
  }

  private static void addAsStored(HeapTensors.Builder tensors, TensorStore store, String name) {
    if (store.info(name).dtype().isFloating()) {
      tensors.add(name, store.floats(name), store.info(name).shape());
    }
  }

  private void writeWeights(String component, TensorStore tensors, DType dtype) {
    boolean transformers =
        base.has(component) && base.component(component).library().equals("transformers");
    Path file =
        out.resolve(component)
            .resolve(transformers ? "model.safetensors" : "diffusion_pytorch_model.safetensors");
    SafetensorsWriter.write(file, TensorViews.withFloatsAs(tensors, dtype), Map.of("format", "pt"));
  }

  /**
   * Writes the folder with new words: their embeddings behind the text encoder's, and the words in
   * the tokenizer.
   *
   * @param tokens which were trained, by the name that the table has under {@code text_encoder.}
   * @param trained their weights
   * @param words one for each of them
   * @throws WeightsException if a file cannot be read or written
   */
  public void writeWithTokens(NewTokens tokens, List<NamedWeight> trained, List<String> words) {
    if (words.size() != tokens.count()) {
      throw new WeightsException(
          "%d words were given for %d new tokens.".formatted(words.size(), tokens.count()));
    }
    String component = Denoiser.TEXT_ENCODER;
    copyExcept(Set.of(component));
    float[] rows = tokens.rows(trained).data();
    String table = tokens.table().substring(component.length() + 1);
    HeapTensors.Builder tensors = HeapTensors.builder();
    int first;
    try (TensorStore before = base.component(component).open()) {
      long[] shape = before.info(table).shape();
      first = (int) shape[0];
      for (String name : before.names()) {
        if (!name.equals(table)) {
          addAsStored(tensors, before, name);
        }
      }
      float[] known = before.floats(table);
      float[] all = Arrays.copyOf(known, known.length + rows.length);
      System.arraycopy(rows, 0, all, known.length, rows.length);
      tensors.add(table, all, shape[0] + words.size(), shape[1]);
    }
    writeWeights(component, tensors.build(), DType.F32);
    editJson(
        out.resolve(component).resolve("config.json"),
        json -> json.put("vocab_size", first + words.size()));
    editJson(
        out.resolve("tokenizer").resolve("added_tokens.json"),
        json -> {
          for (int i = 0; i < words.size(); i++) {
            json.put(words.get(i), first + i);
          }
          return json;
        });
  }

  private static void editJson(Path file, UnaryOperator<ObjectNode> edit) {
    try {
      Files.createDirectories(file.getParent());
      ObjectNode json =
          Files.exists(file) ? (ObjectNode) JSON.readTree(file.toFile()) : JSON.createObjectNode();
      Files.writeString(file, edit.apply(json).toPrettyString() + "\n");
    } catch (IOException e) {
      throw new WeightsException("%s cannot be written: %s".formatted(file, e), e);
    }
  }

  private void copyExcept(Set<String> trained) {
    try {
      Files.createDirectories(out);
      copy(base.path().resolve(MODEL_INDEX));
      for (String about : ABOUT) {
        if (Files.isRegularFile(base.path().resolve(about))) {
          copy(base.path().resolve(about));
        }
      }
      for (String name : base.componentNames()) {
        Path folder = base.component(name).folder().orElse(null);
        if (folder != null) {
          copyFolder(folder, trained.contains(name));
        }
      }
      edits.forEach((file, edit) -> editJson(out.resolve(file), edit));
    } catch (IOException e) {
      throw new WeightsException("%s cannot be copied to %s: %s".formatted(base.path(), out, e), e);
    }
  }

  private void copyFolder(Path folder, boolean withoutWeights) throws IOException {
    Files.walkFileTree(
        folder,
        new SimpleFileVisitor<>() {
          @Override
          public FileVisitResult visitFile(Path file, BasicFileAttributes attributes)
              throws IOException {
            if (!withoutWeights || !file.getFileName().toString().matches(WEIGHTS)) {
              copy(file);
            }
            return FileVisitResult.CONTINUE;
          }
        });
  }

  private void copy(Path file) throws IOException {
    Path target = out.resolve(base.path().relativize(file).toString());
    Files.createDirectories(target.getParent());
    Files.copy(file, target, StandardCopyOption.REPLACE_EXISTING);
  }
}
