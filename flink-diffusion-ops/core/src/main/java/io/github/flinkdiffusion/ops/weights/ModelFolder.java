/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.weights;

import com.fasterxml.jackson.databind.JsonNode;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Clock;
import java.util.Collection;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SortedMap;
import java.util.SortedSet;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.apache.flink.annotation.Internal;

/**
 * A diffusers pipeline on disk: {@code model_index.json} and a sub-folder for each component, as
 * {@code save_pretrained} writes it and as Hugging Face hosts it. Opening it reads configs only. A
 * single-file checkpoint opens as one too, see {@link #open(Path)}.
 *
 * <p>Weights are taken from safetensors files: those of the variant that was asked for where a
 * component has it, else the plain ones, else those of the only variant there is. Pickled weights
 * are refused when they are asked for, since a component that nobody uses (a safety checker, say)
 * may well have no others.
 */
@Internal
public final class ModelFolder {
  /** Says nothing, and many have it. */
  private static final String ANY_NAME = "model";

  private static final String IMAGE_ENCODER = "image_encoder";

  private static final String IP_ADAPTER = "ip_adapter";

  private static final String HUB_FOLDER = "models--";

  private final Path path;
  private final Config config;
  private final SortedMap<String, ModelComponent> components;

  /** Components whose sub-folder is not there, with the class that the index names. */
  private final SortedMap<String, String> missing;

  private final FileDigests digests;
  private final List<Lora> loras;

  private ModelFolder(
      Path path,
      Config config,
      SortedMap<String, ModelComponent> components,
      SortedMap<String, String> missing,
      FileDigests digests,
      List<Lora> loras) {
    this.missing = missing;
    this.digests = digests;
    this.loras = loras;
    this.path = path;
    this.config = config;
    this.components = components;
  }

  /**
   * Opens a folder, preferring plain weights; or a single-file checkpoint of Stable Diffusion 1.x,
   * 2.x or SDXL (safetensors under the original authors' names), whose configs are inferred as
   * diffusers infers them.
   *
   * <p>A sub-folder that the index names may be missing: not every pipeline needs every component.
   *
   * @throws WeightsException if it is not a diffusers folder; or if the file is pickled, damaged or
   *     of another kind
   */
  public static ModelFolder open(Path path) {
    return open(path, Optional.empty());
  }

  /**
   * Opens a folder, or a single file, which has no variants.
   *
   * @param variant weights to prefer, such as {@code fp16}
   * @throws WeightsException also if no component has that variant, or a single file is to have one
   */
  public static ModelFolder open(Path path, Optional<String> variant) {
    if (Files.isRegularFile(path)) {
      if (variant.isPresent()) {
        throw new WeightsException(
            "Checkpoint %s is a single file and has no variant '%s'; variants are files in a model folder"
                .formatted(path, variant.get()));
      }
      return SingleFile.open(path);
    }
    if (TransformersFolder.isOne(path)) {
      return TransformersFolder.open(path, variant);
    }
    Config index = ModelIndex.read(path);
    SortedMap<String, ModelComponent> components = new TreeMap<>();
    SortedMap<String, String> missing = new TreeMap<>();
    SortedSet<String> chosenVariants = new TreeSet<>();
    FileDigests digests = new FileDigests();
    for (Map.Entry<String, JsonNode> field :
        ModelIndex.components(index, name -> Files.isDirectory(path.resolve(name))).entrySet()) {
      String name = field.getKey();
      JsonNode pair = field.getValue();
      Path folder = path.resolve(name);
      if (!Files.isDirectory(folder)) {
        missing.put(name, pair.get(1).textValue());
        continue;
      }
      Optional<Config> config =
          Optional.of(folder.resolve(ModelIndex.configOf(pair.get(1).textValue())))
              .filter(Files::isRegularFile)
              .map(Config::read)
              .map(
                  read ->
                      pair.get(0).asText().equals("diffusers") ? read.withoutUnsetKeys() : read);
      WeightFiles weights = WeightFiles.find(folder, pair.get(0).asText(), variant.orElse(""));
      chosenVariants.add(weights.chosenVariant());
      components.put(
          name,
          new ModelComponent(
              name,
              pair.get(0).asText(),
              pair.get(1).textValue(),
              Optional.of(folder),
              config,
              weights,
              digests));
    }
    if (variant.isPresent() && !chosenVariants.contains(variant.get())) {
      throw new WeightsException(
          "Model folder %s: no component has weights of variant '%s'"
              .formatted(path, variant.get()));
    }
    return new ModelFolder(
        path, index, Collections.unmodifiableSortedMap(components), missing, digests, List.of());
  }

  /**
   * Opens a single-file checkpoint with the configs of a folder: the way for a file whose networks
   * or noise schedule are not those that its tensors suggest, and for one that holds a part of the
   * networks only, such as a transformer.
   *
   * @param file safetensors or GGUF under the original authors' names
   * @param configs a folder in diffusers' layout; of its weights only those of networks that the
   *     file does not hold are read
   * @throws WeightsException if the file is pickled or damaged
   */
  public static ModelFolder openSingleFile(Path file, Path configs) {
    if (Files.isDirectory(file)) {
      throw new WeightsException(
          "Model %s is a folder, which has configs of its own; those of %s are for a single-file checkpoint. Leave the configs out, or give the path of a .safetensors file."
              .formatted(file, configs));
    }
    return SingleFile.open(file, open(configs));
  }

  /**
   * The same model with LoRAs merged into its weights, one after the other, when they are opened:
   * {@code W + scale * alpha / rank * up * down}, in float32. Layers that the model does not have
   * are left out with a warning, as diffusers does.
   *
   * @throws WeightsException if a file is not a LoRA of a kind that is supported, has other shapes
   *     than the model, or changes none of its layers
   */
  public ModelFolder withLoras(List<Lora> more) {
    if (more.isEmpty()) {
      return this;
    }
    List<Lora> all = Stream.concat(loras.stream(), more.stream()).toList();
    return new ModelFolder(
        path,
        config,
        Collections.unmodifiableSortedMap(MergedWeights.merge(components, more, digests)),
        missing,
        digests,
        all);
  }

  /**
   * The same model with IP-Adapters, each a component of its own: {@code ip_adapter}, {@code
   * ip_adapter_1} and so on.
   *
   * @param files safetensors
   * @param encoder folder of the component {@code image_encoder}; empty is the model's own, else
   *     the folder of that name beside the first file
   * @throws WeightsException if a file or the encoder is not there
   */
  public ModelFolder withIpAdapters(List<Path> files, Optional<Path> encoder) {
    if (files.isEmpty()) {
      return this;
    }
    SortedMap<String, ModelComponent> all = new TreeMap<>(components);
    for (int i = 0; i < files.size(); i++) {
      Path file = files.get(i);
      if (!Files.isRegularFile(file)) {
        throw new AddedFileException("IP-Adapter %s does not exist".formatted(file));
      }
      if (!file.toString().endsWith(".safetensors")) {
        throw new AddedFileException(
            "IP-Adapter %s is not read; expected a .safetensors file".formatted(file));
      }
      String name = i == 0 ? IP_ADAPTER : IP_ADAPTER + "_" + i;
      all.put(
          name,
          new ModelComponent(
              name,
              "diffusers",
              "IPAdapter",
              Optional.empty(),
              Optional.of(Config.empty(file.toString())),
              WeightFiles.of(file),
              digests));
    }
    if (encoder.isPresent() || !all.containsKey(IMAGE_ENCODER)) {
      Path beside = files.get(0).resolveSibling(IMAGE_ENCODER);
      all.put(IMAGE_ENCODER, imageEncoder(encoder.orElse(beside), encoder.isPresent()));
    }
    SortedMap<String, String> still = new TreeMap<>(missing);
    still.remove(IMAGE_ENCODER);
    return new ModelFolder(
        path, config, Collections.unmodifiableSortedMap(all), still, digests, loras);
  }

  private ModelComponent imageEncoder(Path folder, boolean asked) {
    Path file = folder.resolve("config.json");
    if (!Files.isRegularFile(file)) {
      throw new AddedFileException(
          "Image encoder %s has no config.json%s"
              .formatted(
                  folder,
                  asked
                      ? ""
                      : "; IP-Adapters see images by the model's image_encoder, by the folder"
                          + " image_encoder beside them, or by the one of"
                          + " diffusion.model.image-encoder"));
    }
    return new ModelComponent(
        IMAGE_ENCODER,
        "transformers",
        "CLIPVisionModelWithProjection",
        Optional.of(folder),
        Optional.of(Config.read(file)),
        WeightFiles.find(folder, "transformers", ""),
        digests);
  }

  /**
   * Remembers files' digests in a folder, and trusts those that are remembered there of files that
   * have not changed since: the next process need not read every byte.
   *
   * @param folder is made when something is remembered; as trusted as the model itself
   */
  public ModelFolder rememberingDigests(Path folder) {
    digests.rememberIn(new DigestMemory(folder, Clock.systemUTC()));
    return this;
  }

  static ModelFolder of(
      Path path, Config config, SortedMap<String, ModelComponent> components, FileDigests digests) {
    return new ModelFolder(
        path,
        config,
        Collections.unmodifiableSortedMap(components),
        new TreeMap<>(),
        digests,
        List.of());
  }

  /** The folder itself, or the single file. */
  public Path path() {
    return path;
  }

  /**
   * The folder's name, or the file's without its extension, to call the model by. In the cache of
   * Hugging Face's hub, the repository's name without its owner. A folder or file that is named
   * "model", as trainings write them, is called as the folder that it is in.
   */
  public String name() {
    return name(path);
  }

  /** What a model at that path is called, whether it is there or not. */
  public static String name(Path path) {
    Path absolute = path.toAbsolutePath().normalize();
    Path last = absolute.getFileName();
    if (last == null) {
      return ANY_NAME;
    }
    String name =
        repository(absolute).orElse(last.toString()).replaceFirst("\\.(safetensors|gguf)$", "");
    return name.equals(ANY_NAME) && absolute.getNameCount() > 1 ? name(absolute.getParent()) : name;
  }

  /** In the cache of Hugging Face's hub, where the last name is that of a commit. */
  private static Optional<String> repository(Path snapshot) {
    int names = snapshot.getNameCount();
    if (names < 3 || !snapshot.getName(names - 2).toString().equals("snapshots")) {
      return Optional.empty();
    }
    String folder = snapshot.getName(names - 3).toString();
    return folder.startsWith(HUB_FOLDER)
        ? Optional.of(folder.substring(folder.lastIndexOf("--") + 2))
        : Optional.empty();
  }

  /**
   * The pipeline's Python class, such as {@code StableDiffusionPipeline}; empty if the index does
   * not say.
   */
  public String pipelineClass() {
    return config.string("_class_name", "");
  }

  /** {@code model_index.json} itself: the pipeline's own settings. */
  public Config config() {
    return config;
  }

  /** The components that are there; one that the index names as {@code [null, null]} is not. */
  public SortedSet<String> componentNames() {
    return Collections.unmodifiableSortedSet(new TreeSet<>(components.keySet()));
  }

  /** Whether the model has a component of that name, even if its sub-folder is missing. */
  public boolean has(String component) {
    return components.containsKey(component) || missing.containsKey(component);
  }

  /** Whether the index names a component of that name whose sub-folder is not there. */
  public boolean lacks(String component) {
    return missing.containsKey(component);
  }

  /**
   * One component.
   *
   * @throws WeightsException if the model has no such component, or its sub-folder is missing
   */
  public ModelComponent component(String name) {
    ModelComponent component = components.get(name);
    if (missing.containsKey(name)) {
      throw new WeightsException(
          "Model folder %s: sub-folder '%s' is missing, but %s names a %s there; is the download complete?"
              .formatted(path, name, ModelIndex.FILE, missing.get(name)));
    }
    if (component == null) {
      throw new WeightsException(
          "Model folder %s (%s) has no component '%s'; it has %s"
              .formatted(path, pipelineClass(), name, components.keySet()));
    }
    return component;
  }

  /** SHA-256 over all components, in hexadecimal; see {@link #digest(Collection)}. */
  public String digest() {
    return digest(components.keySet());
  }

  /**
   * SHA-256, in hexadecimal, over what decides the pictures: the index, and the configs,
   * vocabularies and weights (of the variant in use) of the components given, each under its
   * component's name and its own, and all LoRAs with their scales. The folder's own name and place
   * do not count. Reads every byte, once: seconds for a large model, and the components' {@link
   * TensorStore#digest} cost nothing then.
   *
   * @param names the components that a pipeline uses; their order does not matter
   */
  public String digest(Collection<String> names) {
    Sha256 sha256 = new Sha256();
    sha256.add(config.node().toString());
    for (String name : new TreeSet<>(names)) {
      ModelComponent component = component(name);
      sha256.add(name);
      for (Path file : component.weightFiles()) {
        update(sha256, file);
      }
      if (component.folder().isEmpty()) {
        sha256.add(component.config().node().toString());
        continue;
      }
      ModelIndex.smallFiles(component.folder().get()).forEach(file -> update(sha256, file));
      TransformersFolder.vocabulary(path, component.folder().get())
          .ifPresent(file -> update(sha256, file));
    }
    for (Lora lora : loras) {
      sha256.add(digests.digest(lora.file())).add(Double.toHexString(lora.scale()));
    }
    return sha256.hex();
  }

  /**
   * Reads configs and vocabularies for a {@link #digest} that is asked for later, and then is of
   * the model as it is now: of weights it takes those that are open, whatever was renamed over
   * them.
   */
  public void readSmallFiles() {
    components
        .values()
        .forEach(
            component ->
                component
                    .folder()
                    .ifPresent(folder -> ModelIndex.smallFiles(folder).forEach(digests::pin)));
  }

  /** Closes what was opened to compute the digest of; mappings stay as they are. */
  public void releaseFiles() {
    digests.release();
  }

  /**
   * Looks whether weights that were opened have been written to, in which case networks that map
   * them compute something else.
   *
   * @throws WeightsException naming the file; models are to be replaced by a rename
   */
  public void requireNotWritten() {
    digests.requireNotWritten();
  }

  private void update(Sha256 sha256, Path file) {
    sha256.add(file.getFileName().toString()).add(digests.digest(file));
  }

  @Override
  public String toString() {
    return pipelineClass() + " in " + path + " with " + components.keySet();
  }
}
