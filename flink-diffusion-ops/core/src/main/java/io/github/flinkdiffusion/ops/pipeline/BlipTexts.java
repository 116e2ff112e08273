/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.engine.Network;
import io.github.flinkdiffusion.ops.image.ImageException;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.network.Blip;
import io.github.flinkdiffusion.ops.network.BlipConfig;
import io.github.flinkdiffusion.ops.tokenizer.WordPieceTokenizer;
import io.github.flinkdiffusion.ops.weights.Config;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/**
 * transformers' BlipForConditionalGeneration, which describes an image, and
 * BlipForQuestionAnswering, which answers a question about one.
 *
 * <p>A caption goes on from the prompt, if there is one; the answer follows from the question, and
 * begins with the start token alone.
 */
final class BlipTexts implements TextTask {
  private static final String MODEL = "model";
  private static final String TOKENIZER = "tokenizer";
  private static final String PROCESSOR = "image_processor";
  private static final String[] PROCESSORS = {
    "BlipImageProcessor", "BlipImageProcessorFast", "BlipImageProcessorPil"
  };

  private final boolean answers;
  private final Components components;
  private final BlipConfig config;
  private final ClipImageProcessor processor;
  private final WordPieceTokenizer tokenizer;
  private final Network network;
  private final TextCalls calls;
  private final Signature signature;

  private BlipTexts(Components components, boolean answers) {
    this.answers = answers;
    this.components = components;
    Config json = components.config(MODEL);
    this.config = BlipConfig.from(json);
    if (answers && config.vision().hiddenSize() != config.text().hiddenSize()) {
      throw json.unsupported(
          "hidden_size of vision_config",
          config.vision().hiddenSize(),
          "that of text_config, " + config.text().hiddenSize());
    }
    components.requireClass(TOKENIZER, "BertTokenizer", "BertTokenizerFast");
    this.tokenizer = WordPieceTokenizer.load(components.folder().component(TOKENIZER));
    TextCalls.requireVocabulary(json, config.text().vocabulary(), tokenizer.vocabularySize());
    this.processor =
        ClipImageProcessor.blip(
            components.config(PROCESSOR, PROCESSORS), config.vision().imageSize());
    Blip blip = new Blip(config);
    this.calls = new TextCalls(config.text().vocabulary(), blip.keptSize());
    this.network = components.load(MODEL, answers ? blip.answering() : blip.captioning());
    Signature image =
        Signature.of(answers ? "BlipForQuestionAnswering" : "BlipForConditionalGeneration")
            .required(Parameters.IMAGE);
    this.signature =
        TextPipeline.withDecoding(
            answers ? image.required(Parameters.PROMPT) : image.optional(Parameters.PROMPT));
  }

  static TextTask captions(Components components) {
    return new BlipTexts(components, false);
  }

  static TextTask answers(Components components) {
    return new BlipTexts(components, true);
  }

  @Override
  public Signature signature() {
    return signature;
  }

  @Override
  public String name() {
    return answers ? "visual-question-answering" : "image-captioning";
  }

  @Override
  public void check(GenerationRequest request) {
    Raster image = request.get(Parameters.IMAGE);
    try {
      processor.check(image);
    } catch (ImageException e) {
      throw new InvalidRequestException(e.getMessage());
    }
    int most = config.text().maxPositions();
    String text = request.get(Parameters.PROMPT);
    TextCalls.requireLength(text, most);
    int asked = text == null ? 2 : tokenizer.encode(text).length;
    int tokens = request.get(Parameters.MAX_NEW_TOKENS).intValue();
    int prompt = answers ? 1 : asked - 1;
    if (asked > most || prompt + tokens > most) {
      throw new InvalidRequestException(
          "The prompt has %d tokens and maxNewTokens is %d; the model takes at most %d in all."
              .formatted(asked, tokens, most));
    }
  }

  @Override
  public int end() {
    return config.text().end();
  }

  @Override
  public long imagePixels() {
    return (long) config.vision().imageSize() * config.vision().imageSize();
  }

  @Override
  public long stateBytes() {
    int tokens = answers ? config.text().maxPositions() : config.vision().tokens();
    return (long) Float.BYTES * tokens * stateSize();
  }

  private int stateSize() {
    return config.vision().hiddenSize();
  }

  @Override
  public List<Beginning> begin(List<GenerationRequest> requests) {
    HostTensor.Floats seen =
        network.call(
            Blip.VISION,
            processor.pixels(
                requests.stream().map(request -> request.get(Parameters.IMAGE)).toList()));
    int tokens = config.vision().tokens();
    int begin = config.text().begin();
    if (answers) {
      return questions(requests, seen);
    }
    List<Beginning> beginnings = new ArrayList<>(requests.size());
    for (int i = 0; i < requests.size(); i++) {
      String text = requests.get(i).get(Parameters.PROMPT);
      int[] prompt = {begin};
      if (text != null) {
        // The first token, [CLS], becomes the start token; the last, [SEP], would end the text.
        int[] encoded = tokenizer.encode(text);
        prompt = Arrays.copyOf(encoded, encoded.length - 1);
        prompt[0] = begin;
      }
      beginnings.add(new Beginning(prompt, part(seen.data(), i, tokens, tokens), tokens));
    }
    return beginnings;
  }

  private List<Beginning> questions(List<GenerationRequest> requests, HostTensor.Floats seen) {
    List<int[]> questions =
        requests.stream().map(each -> tokenizer.encode(each.get(Parameters.PROMPT))).toList();
    PaddedTokens padded = PaddedTokens.of(questions);
    HostTensor.Floats read =
        network.call(Blip.QUESTION, padded.ids(), padded.positions(), padded.lengths(), seen);
    List<Beginning> beginnings = new ArrayList<>(requests.size());
    for (int i = 0; i < requests.size(); i++) {
      int length = questions.get(i).length;
      beginnings.add(
          new Beginning(
              new int[] {config.text().begin()},
              part(read.data(), i, padded.longest(), length),
              length));
    }
    return beginnings;
  }

  private float[] part(float[] all, int row, int longest, int length) {
    int size = stateSize();
    int from = row * longest * size;
    return Arrays.copyOfRange(all, from, from + length * size);
  }

  @Override
  public long readBytes() {
    return (long) Float.BYTES * calls.keptSize();
  }

  @Override
  public Next next(List<Row> rows) {
    List<List<Integer>> places =
        List.copyOf(
            IntStream.range(0, rows.size())
                .boxed()
                .collect(Collectors.groupingBy(i -> rows.get(i).read() == null))
                .values());
    return calls.next(rows, places, this::readWhole, this::readLast);
  }

  private HostTensor.Floats readWhole(List<Row> rows) {
    PaddedTokens padded = PaddedTokens.of(rows.stream().map(Row::tokens).toList());
    Seen seen = seen(rows);
    return network.call(
        Blip.READ, padded.ids(), padded.positions(), padded.last(), seen.states(), seen.lengths());
  }

  private HostTensor.Floats readLast(List<Row> rows) {
    TextCalls.Last last = calls.last(rows);
    Seen seen = seen(rows);
    return network.call(
        Blip.NEXT,
        last.ids(),
        new HostTensor.Longs(
            rows.stream().mapToLong(row -> row.tokens().length - 1).toArray(), rows.size(), 1),
        last.kept(),
        last.lengths(),
        seen.states(),
        seen.lengths());
  }

  /** The states that each row looks at, filled up to the most. */
  private record Seen(HostTensor.Floats states, HostTensor.Floats lengths) {}

  private Seen seen(List<Row> rows) {
    int longest = rows.stream().mapToInt(row -> row.beginning().length()).max().orElseThrow();
    int size = stateSize();
    float[] states = new float[rows.size() * longest * size];
    float[] lengths = new float[rows.size()];
    for (int i = 0; i < rows.size(); i++) {
      Beginning beginning = rows.get(i).beginning();
      System.arraycopy(
          beginning.states(), 0, states, i * longest * size, beginning.states().length);
      lengths[i] = beginning.length();
    }
    return new Seen(
        new HostTensor.Floats(states, rows.size(), longest, size),
        new HostTensor.Floats(lengths, rows.size()));
  }

  @Override
  public String text(int[] prompt, int[] tokens) {
    // The start token is none of the tokenizer's in some folders, and special in others.
    return tokenizer.decode(
        IntStream.concat(Arrays.stream(prompt).skip(1), Arrays.stream(tokens)).toArray());
  }

  @Override
  public void close() {
    components.close();
  }
}
