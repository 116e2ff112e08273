/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import com.fasterxml.jackson.databind.JsonNode;
import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.engine.Network;
import io.github.flinkdiffusion.ops.image.ImageException;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.network.Idefics3;
import io.github.flinkdiffusion.ops.network.Idefics3Config;
import io.github.flinkdiffusion.ops.tokenizer.GptTokenizer;
import io.github.flinkdiffusion.ops.tokenizer.PromptTokenizer;
import io.github.flinkdiffusion.ops.weights.Config;
import io.github.flinkdiffusion.ops.weights.WeightsException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.stream.Stream;

/**
 * transformers' Idefics3ForConditionalGeneration, which is SmolVLM: answers about up to four
 * images, which stand before the question in the user's turn of a chat.
 */
final class Idefics3Texts implements TextTask {
  private static final String MODEL = "model";
  private static final String TOKENIZER = "tokenizer";
  private static final String PROCESSOR = "image_processor";
  private static final String[] PROCESSORS = {
    "Idefics3ImageProcessor", "Idefics3ImageProcessorFast", "Idefics3ImageProcessorPil"
  };
  private static final String[] TOKENIZERS = {
    "GPT2Tokenizer", "GPT2TokenizerFast", "PreTrainedTokenizerFast", "TokenizersBackend"
  };
  private static final List<Parameter<Raster>> IMAGES =
      List.of(Parameters.IMAGE, Parameters.IMAGE_2, Parameters.IMAGE_3, Parameters.IMAGE_4);

  /** SmolVLM's chat template, which is compared and not run. */
  private static final String TEMPLATE =
      "<|im_start|>{% for message in messages %}{{message['role'] | capitalize}}"
          + "{% if message['content'][0]['type'] == 'image' %}{{':'}}{% else %}{{': '}}{% endif %}"
          + "{% for line in message['content'] %}{% if line['type'] == 'text' %}{{line['text']}}"
          + "{% elif line['type'] == 'image' %}{{ '<image>' }}{% endif %}{% endfor %}"
          + "<end_of_utterance>\n{% endfor %}{% if add_generation_prompt %}{{ 'Assistant:' }}"
          + "{% endif %}";

  private static final String IMAGE = "<image>";
  private static final String AROUND = "<fake_token_around_image>";
  private static final String WHOLE = "<global-img>";
  private static final String END = "<end_of_utterance>";

  /** Images of a call of the vision network. */
  private static final int TOGETHER = 8;

  /** What a call that reads whole texts may return; a text by itself may be more. */
  private static final long CALL_BYTES = 256L << 20;

  private final Components components;
  private final Idefics3Config config;
  private final Idefics3Images images;
  private final PromptTokenizer tokenizer;
  private final GptTokenizer decoder;
  private final Network network;
  private final TextCalls calls;
  private final int end;

  private Idefics3Texts(Components components) {
    this.components = components;
    Config json = components.config(MODEL);
    this.config = Idefics3Config.from(json);
    this.images =
        new Idefics3Images(components.config(PROCESSOR, PROCESSORS), config.vision().imageSize());
    Config words = components.config(TOKENIZER, TOKENIZERS);
    if (words.flag("clean_up_tokenization_spaces", false)) {
      throw words.unsupported("clean_up_tokenization_spaces", true, "false");
    }
    this.tokenizer = PromptTokenizer.gpt2(components.folder().component(TOKENIZER));
    this.decoder = GptTokenizer.load(components.folder().component(TOKENIZER));
    TextCalls.requireVocabulary(json, config.text().vocabulary(), tokenizer.vocabularySize());
    if (tokenizer.id(IMAGE) != config.imageToken()) {
      throw json.unsupported(
          "image_token_id",
          config.imageToken(),
          "the tokenizer's id of " + IMAGE + ", " + tokenizer.id(IMAGE));
    }
    tokenizer.id(AROUND);
    this.end = tokenizer.id(END);
    Path folder = components.folder().component(TOKENIZER).folder().orElseThrow();
    requireTemplate(folder, words);
    requireEnd(folder);
    Idefics3 idefics = new Idefics3(config);
    this.calls = new TextCalls(config.text().vocabulary(), idefics.keptSize());
    this.network = components.load(MODEL, idefics.graph());
  }

  static TextTask open(Components components) {
    return new Idefics3Texts(components);
  }

  /** The template stands in a file of its own, or in another one's key. */
  private static void requireTemplate(Path folder, Config tokenizer) {
    Path own = folder.resolve("chat_template.jinja");
    Path json = folder.resolve("chat_template.json");
    String template;
    Config source;
    if (Files.isRegularFile(own)) {
      source = Config.empty(own.toString());
      try {
        template = Files.readString(own, StandardCharsets.UTF_8);
      } catch (IOException e) {
        throw new WeightsException("Cannot read the chat template " + own + ": " + e, e);
      }
    } else {
      source = Files.isRegularFile(json) ? Config.read(json) : tokenizer;
      template = source.string("chat_template", "");
    }
    if (!template.strip().equals(TEMPLATE)) {
      throw source.unsupported(
          "chat_template",
          template.isEmpty() ? "missing" : template,
          "that of HuggingFaceTB/SmolVLM-Instruct: " + TEMPLATE);
    }
  }

  private void requireEnd(Path folder) {
    Path file = folder.resolve("generation_config.json");
    if (!Files.isRegularFile(file)) {
      return;
    }
    Config generation = Config.read(file);
    JsonNode named = generation.node().path("eos_token_id");
    if (!named.isInt() || named.intValue() != end) {
      throw generation.unsupported(
          "eos_token_id", named, "the tokenizer's id of " + END + ", " + end);
    }
  }

  @Override
  public Signature signature() {
    Signature signature =
        Signature.of("Idefics3ForConditionalGeneration")
            .required(Parameters.IMAGE)
            .optional(Parameters.IMAGE_2)
            .optional(Parameters.IMAGE_3)
            .optional(Parameters.IMAGE_4)
            .optional(Parameters.PROMPT);
    return TextPipeline.withDecoding(signature);
  }

  @Override
  public String name() {
    return "image-text-to-text";
  }

  private static List<Raster> images(GenerationRequest request) {
    return IMAGES.stream().map(request::get).filter(Objects::nonNull).toList();
  }

  @Override
  public void check(GenerationRequest request) {
    int most = config.text().maxPositions();
    String text = request.get(Parameters.PROMPT);
    TextCalls.requireLength(text, most);
    for (String token : List.of(IMAGE, AROUND)) {
      if (text != null && text.contains(token)) {
        throw new InvalidRequestException(
            "The prompt has the token %s, which stands for an image. Leave it out: images come before the prompt."
                .formatted(token));
      }
    }
    int prompt;
    try {
      prompt = prompt(request).length;
    } catch (ImageException e) {
      throw new InvalidRequestException(e.getMessage());
    }
    int tokens = request.get(Parameters.MAX_NEW_TOKENS).intValue();
    if (prompt + tokens > most) {
      throw new InvalidRequestException(
          "The prompt has %d tokens with those of its images, and maxNewTokens is %d; the model takes at most %d in all."
              .formatted(prompt, tokens, most));
    }
  }

  /** The chat's tokens up to where the answer begins. */
  private int[] prompt(GenerationRequest request) {
    StringBuilder chat = new StringBuilder("<|im_start|>User:");
    for (Raster image : images(request)) {
      Idefics3Images.Grid grid = images.grid(image);
      for (int row = 1; row <= grid.rows(); row++) {
        for (int column = 1; column <= grid.columns(); column++) {
          chat.append(AROUND).append("<row_%d_col_%d>".formatted(row, column));
          chat.append(IMAGE.repeat(config.imageTokens()));
        }
        chat.append('\n');
      }
      chat.append(grid.rows() > 0 ? "\n" : "").append(AROUND).append(WHOLE);
      chat.append(IMAGE.repeat(config.imageTokens())).append(AROUND);
    }
    String text = request.get(Parameters.PROMPT);
    chat.append(text == null ? "" : text).append(END).append("\nAssistant:");
    return tokenizer.ids(chat.toString());
  }

  @Override
  public int end() {
    return end;
  }

  @Override
  public long imagePixels() {
    long side = config.vision().imageSize();
    return side * side * images.mostParts();
  }

  @Override
  public long stateBytes() {
    return (long) Float.BYTES * IMAGES.size() * images.mostParts() * partSize();
  }

  /** Numbers that stand for an image or a part of one. */
  private int partSize() {
    return config.imageTokens() * config.text().hiddenSize();
  }

  @Override
  public List<Beginning> begin(List<GenerationRequest> requests) {
    List<Beginning> beginnings = new ArrayList<>(requests.size());
    // Parts are many and large, so they are made as they are seen.
    List<Raster> waiting = new ArrayList<>();
    List<Place> places = new ArrayList<>();
    for (GenerationRequest request : requests) {
      List<Raster> own = images(request);
      int count = own.stream().mapToInt(image -> images.grid(image).parts()).sum();
      float[] states = new float[count * partSize()];
      int at = 0;
      for (Raster image : own) {
        for (Raster part : images.parts(image)) {
          waiting.add(part);
          places.add(new Place(states, at));
          at += partSize();
          if (waiting.size() == TOGETHER) {
            see(waiting, places);
          }
        }
      }
      beginnings.add(new Beginning(prompt(request), states, count * config.imageTokens()));
    }
    see(waiting, places);
    return beginnings;
  }

  /** Where a part's numbers go. */
  private record Place(float[] states, int at) {}

  private void see(List<Raster> parts, List<Place> places) {
    if (parts.isEmpty()) {
      return;
    }
    float[] seen = network.call(Idefics3.VISION, images.pixels(parts)).data();
    for (int i = 0; i < parts.size(); i++) {
      Place place = places.get(i);
      System.arraycopy(seen, i * partSize(), place.states(), place.at(), partSize());
    }
    parts.clear();
    places.clear();
  }

  @Override
  public long readBytes() {
    return (long) Float.BYTES * calls.keptSize();
  }

  @Override
  public Next next(List<Row> rows) {
    return calls.next(rows, shared(rows), this::readWhole, this::readLast);
  }

  /**
   * Rows that share a call: those whose texts go on, and others as many as a call's memory takes.
   */
  private List<List<Integer>> shared(List<Row> rows) {
    List<List<Integer>> shared = new ArrayList<>();
    List<Integer> goOn = new ArrayList<>();
    List<Integer> whole = new ArrayList<>();
    int longest = 0;
    for (int i = 0; i < rows.size(); i++) {
      if (rows.get(i).read() != null) {
        goOn.add(i);
        continue;
      }
      longest = Math.max(longest, rows.get(i).tokens().length);
      if (!whole.isEmpty() && (whole.size() + 1) * longest * readBytes() > CALL_BYTES) {
        shared.add(whole);
        whole = new ArrayList<>();
        longest = rows.get(i).tokens().length;
      }
      whole.add(i);
    }
    return Stream.concat(shared.stream(), Stream.of(whole, goOn))
        .filter(places -> !places.isEmpty())
        .toList();
  }

  private HostTensor.Floats readWhole(List<Row> rows) {
    PaddedTokens padded = PaddedTokens.of(rows.stream().map(Row::tokens).toList());
    int size = config.text().hiddenSize();
    int longest = padded.longest();
    float[] seen = new float[rows.size() * longest * size];
    float[] words = new float[rows.size() * longest];
    Arrays.fill(words, 1);
    for (int i = 0; i < rows.size(); i++) {
      Beginning beginning = rows.get(i).beginning();
      int taken = 0;
      // An image token that the text itself has stands for no image.
      for (int j = 0; j < beginning.prompt().length; j++) {
        if (beginning.prompt()[j] == config.imageToken()) {
          int at = i * longest + j;
          System.arraycopy(beginning.states(), taken++ * size, seen, at * size, size);
          words[at] = 0;
        }
      }
    }
    return network.call(
        Idefics3.READ,
        padded.ids(),
        new HostTensor.Floats(seen, rows.size(), longest, size),
        new HostTensor.Floats(words, rows.size(), longest),
        padded.last());
  }

  private HostTensor.Floats readLast(List<Row> rows) {
    TextCalls.Last last = calls.last(rows);
    return network.call(Idefics3.NEXT, last.ids(), last.kept(), last.lengths());
  }

  @Override
  public String text(int[] prompt, int[] tokens) {
    return decoder.decode(tokens);
  }

  @Override
  public void close() {
    components.close();
  }
}
