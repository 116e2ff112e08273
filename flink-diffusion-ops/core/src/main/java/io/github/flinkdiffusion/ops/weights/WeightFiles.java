/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.weights;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.SortedSet;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * Chooses among the weights files that a component's folder may hold: plain, as variants (fp16), in
 * one file or sharded, GGUF, or only pickled. A GGUF file counts where there is no safetensors
 * file; of several, the variant is the type at the end of their names, such as {@code Q4_K_S}.
 */
final class WeightFiles implements ComponentWeights {
  private static final String DIFFUSERS = "diffusion_pytorch_model";
  private static final String TRANSFORMERS = "model";

  /**
   * Group 1 is the library's name, group 2 the variant, if any. Shards themselves ({@code
   * ...-00001-of-00002.safetensors}, {@code ....fp16-00001-of-00002.safetensors}) do not match.
   */
  private static final Pattern SINGLE =
      Pattern.compile(
          "(diffusion_pytorch_model|model)(?:\\.((?!.*-\\d{5}-of-\\d{5}\\.)[\\w-]+))?\\.safetensors");

  /** Both places at which libraries have put the variant of an index: today's is the last. */
  private static final Pattern INDEX =
      Pattern.compile(
          "(diffusion_pytorch_model|model)\\.safetensors(?:\\.([\\w-]+))?\\.index(?:\\.([\\w-]+))?\\.json");

  private static final String GGUF = "gguf";

  /** Files of one network in several types have the type at the end of their names. */
  private static final Pattern GGUF_VARIANT =
      Pattern.compile(".*[-._](I?T?Q\\d\\w*|F16|F32|BF16)\\.gguf");

  private static final Pattern PICKLED = Pattern.compile(".*\\.(bin|ckpt|pt|pth|pkl)");

  /**
   * What was chosen, or why nothing can be: said when the weights are asked for, since not every
   * component needs any.
   */
  private final Optional<Path> chosen;

  private final String chosenVariant;
  private final String whyNone;

  private WeightFiles(Optional<Path> chosen, String chosenVariant, String whyNone) {
    this.chosen = chosen;
    this.chosenVariant = chosenVariant;
    this.whyNone = whyNone;
  }

  private record Candidate(String file, String base, String variant) {}

  /**
   * What was chosen among names of files.
   *
   * @param file that was chosen; empty when none can be
   * @param variant of the file; empty for none
   * @param variants that there are; the plain one has an empty name
   * @param pickled files, which are never chosen
   */
  record Choice(
      Optional<String> file,
      String variant,
      SortedSet<String> variants,
      SortedSet<String> pickled) {}

  /**
   * @param library whose class reads the folder, {@code diffusers} or another one: each looks for
   *     its own file name, and of one file and shards diffusers takes the shards, transformers the
   *     file
   * @param variant the variant to prefer; empty for none
   */
  static WeightFiles find(Path folder, String library, String variant) {
    Choice choice = choose(list(folder), library, variant);
    return new WeightFiles(
        choice.file.map(folder::resolve),
        choice.variant,
        choice.file.isPresent() ? null : whyNone(folder, choice.variants, choice.pickled));
  }

  /**
   * As {@link #find}, of files that need not be there yet.
   *
   * @param files names of all files in the component's folder
   */
  static Choice choose(Collection<String> files, String library, String variant) {
    boolean ofDiffusers = library.equals("diffusers");
    String own = ofDiffusers ? DIFFUSERS : TRANSFORMERS;
    List<Candidate> candidates = new ArrayList<>();
    TreeSet<String> pickled = new TreeSet<>();
    boolean safetensors = files.stream().anyMatch(file -> candidate(file).isPresent());
    for (String file : new TreeSet<>(files)) {
      candidate(file).ifPresent(candidates::add);
      if (!safetensors && Gguf.isName(file)) {
        candidates.add(new Candidate(file, GGUF, ggufVariant(file)));
      }
      if (PICKLED.matcher(file).matches()) {
        pickled.add(file);
      }
    }
    if (candidates.stream().anyMatch(candidate -> candidate.base.equals(own))) {
      candidates.removeIf(candidate -> !candidate.base.equals(own));
    }
    candidates.sort(
        Comparator.comparing((Candidate candidate) -> isIndex(candidate.file) != ofDiffusers));
    TreeSet<String> variants = new TreeSet<>();
    candidates.forEach(candidate -> variants.add(candidate.variant));
    // As asked; else plain; else the only one there is, such as a folder downloaded in fp16 only.
    String use = variants.contains(variant) ? variant : variants.contains("") ? "" : null;
    if (use == null && variants.size() == 1) {
      use = variants.first();
    }
    String wanted = use;
    Optional<String> chosen =
        candidates.stream().filter(c -> c.variant.equals(wanted)).findFirst().map(Candidate::file);
    return new Choice(chosen, use == null ? "" : use, variants, pickled);
  }

  /** One file, which is there. */
  static WeightFiles of(Path file) {
    return new WeightFiles(Optional.of(file), "", null);
  }

  /** Of a component that has none, whatever else is in its folder. */
  static WeightFiles none(Path folder) {
    return new WeightFiles(Optional.empty(), "", "No weights of this component in " + folder);
  }

  private static String whyNone(
      Path folder, SortedSet<String> variants, SortedSet<String> pickled) {
    if (!variants.isEmpty()) {
      return "Weights in %s exist only as variants %s; ask for one of them (diffusion.model.variant)"
          .formatted(folder, variants);
    }
    if (!pickled.isEmpty()) {
      return "Weights in %s are pickled (%s) and are not read: unpickling a file runs whatever code it holds. "
              .formatted(folder, String.join(", ", pickled))
          + "Convert them once in Python, where you trust their author:"
          + " DiffusionPipeline.from_pretrained(folder).save_pretrained(newFolder,"
          + " safe_serialization=True)";
    }
    return "No weights in %s: expected %s.safetensors or %s.safetensors, the same with .index.json and its shards, or a .gguf file"
        .formatted(folder, DIFFUSERS, TRANSFORMERS);
  }

  private static String ggufVariant(String file) {
    Matcher type = GGUF_VARIANT.matcher(file);
    return type.matches() ? type.group(1) : file.substring(0, file.length() - Gguf.SUFFIX.length());
  }

  private static Optional<Candidate> candidate(String file) {
    Matcher single = SINGLE.matcher(file);
    if (single.matches()) {
      return Optional.of(
          new Candidate(file, single.group(1), single.group(2) == null ? "" : single.group(2)));
    }
    Matcher index = INDEX.matcher(file);
    if (index.matches()) {
      String variant = index.group(3) != null ? index.group(3) : index.group(2);
      return Optional.of(new Candidate(file, index.group(1), variant == null ? "" : variant));
    }
    return Optional.empty();
  }

  /**
   * Names of the files in a folder, sorted, so that the choice never depends on the file system's
   * order.
   */
  static List<String> list(Path folder) {
    try (Stream<Path> files = Files.list(folder)) {
      return files
          .filter(Files::isRegularFile)
          .map(file -> file.getFileName().toString())
          .sorted()
          .toList();
    } catch (IOException e) {
      throw new WeightsException("Cannot list " + folder + ": " + e, e);
    }
  }

  String chosenVariant() {
    return chosenVariant;
  }

  @Override
  public TensorStore open(FileDigests digests) {
    Path path = chosen.orElseThrow(() -> new WeightsException(whyNone));
    return open(path, digests);
  }

  /**
   * Opens an index with its shards, a GGUF file, or a safetensors file. Weights of 8 bits come with
   * their scales multiplied in.
   */
  static TensorStore open(Path path, FileDigests digests) {
    TensorStore stored =
        isIndex(path.toString())
            ? ShardedTensors.open(path, digests)
            : Gguf.isOne(path) ? Gguf.open(path, digests) : Safetensors.open(path, digests);
    try {
      return ScaledTensors.of(stored);
    } catch (RuntimeException e) {
      stored.close();
      throw e;
    }
  }

  @Override
  public List<Path> files() {
    return chosen
        .map(path -> isIndex(path.toString()) ? ShardedTensors.files(path) : List.of(path))
        .orElse(List.of());
  }

  static boolean isIndex(String file) {
    return file.endsWith(".json");
  }
}
