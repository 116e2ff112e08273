/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.engine.HostTensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The pipeline around a {@link TextTask}: a token is a step of a trajectory, so texts of any length
 * and at any token share network calls. A snapshot holds the tokens alone; what the network has
 * made of the image is made again.
 */
final class TextPipeline implements DiffusionPipeline {
  private static final Logger LOG = LoggerFactory.getLogger(TextPipeline.class);
  private static final float[][] NO_HISTORY = {};
  private static final byte[] NO_NOISE = {};

  /** What part of the heap is for what networks keep of texts' tokens. */
  private static final long HEAP_SHARE = 8;

  private final TextTask task;
  private final ModelInfo info;
  private final Basis basis;
  private final ModelCheck check;
  private final Model model = new TextModel();

  /** Bytes that {@link ReadTokens} of all texts may still take. Device thread. */
  private long room;

  /**
   * @param check of all weights, closed with this
   */
  TextPipeline(ModelInfo info, TextTask task, ModelCheck check) {
    this(info, task, check, Runtime.getRuntime().maxMemory() / HEAP_SHARE);
  }

  /**
   * @param room bytes of the heap for what the network keeps of texts' tokens. A text that finds
   *     none has its tokens read again at each step
   */
  TextPipeline(ModelInfo info, TextTask task, ModelCheck check, long room) {
    this.info = info;
    this.basis = info.basis();
    this.task = task;
    this.check = check;
    this.room = room;
  }

  /** The same model with room of its own. Not closed by itself. */
  TextPipeline withRoom(long bytes) {
    return new TextPipeline(info, task, check, bytes);
  }

  /** Bytes that are left for what the network keeps of texts' tokens. */
  long room() {
    return room;
  }

  @Override
  public Model model() {
    return model;
  }

  private TextDecoding decoding(GenerationRequest request) {
    return new TextDecoding(
        request.get(Parameters.NUM_BEAMS).intValue(),
        request.get(Parameters.MAX_NEW_TOKENS).intValue(),
        task.end(),
        request.get(Parameters.LENGTH_PENALTY),
        request.get(Parameters.DO_SAMPLE) == 0
            ? null
            : new TextDecoding.Sampling(
                request.seed(),
                request.get(Parameters.SAMPLING_TEMPERATURE),
                request.get(Parameters.TOP_K).intValue(),
                request.get(Parameters.TOP_P)));
  }

  @Override
  public List<Trajectory> start(List<GenerationRequest> requests) {
    List<TextTask.Beginning> beginnings = task.begin(requests);
    List<Trajectory> trajectories = new ArrayList<>(requests.size());
    for (int i = 0; i < requests.size(); i++) {
      TextDecoding decoding = decoding(requests.get(i));
      trajectories.add(new Text(requests.get(i), decoding, beginnings.get(i), decoding.begin()));
    }
    return trajectories;
  }

  @Override
  public List<Trajectory> restore(List<TrajectorySnapshot> snapshots) {
    List<GenerationRequest> requests = snapshots.stream().map(TrajectorySnapshot::request).toList();
    List<TextTask.Beginning> beginnings = task.begin(requests);
    List<Trajectory> trajectories = new ArrayList<>(snapshots.size());
    for (int i = 0; i < snapshots.size(); i++) {
      TextDecoding decoding = decoding(requests.get(i));
      TextDecoding.State state = decoding.restore(snapshots.get(i).sample());
      if (state == null) {
        LOG.warn(
            "Request '{}', saved at token {}, does not fit this model and starts again.",
            requests.get(i).id(),
            snapshots.get(i).step());
        state = decoding.begin();
      }
      trajectories.add(new Text(requests.get(i), decoding, beginnings.get(i), state));
    }
    return trajectories;
  }

  @Override
  public void step(List<Trajectory> batch) {
    List<Text> texts = batch.stream().map(Text.class::cast).toList();
    List<TextTask.Row> rows = new ArrayList<>();
    texts.forEach(text -> rows.addAll(text.rowsOfCall()));
    TextTask.Next called = task.next(rows);
    HostTensor.Floats scores = called.scores();
    int vocabulary = (int) scores.shape()[1];
    List<TextDecoding.State> next = new ArrayList<>(texts.size());
    List<Integer> notFinite = new ArrayList<>();
    int row = 0;
    for (int i = 0; i < texts.size(); i++) {
      int from = row * vocabulary;
      row += texts.get(i).rows();
      if (!finite(scores.data(), from, row * vocabulary)) {
        notFinite.add(i);
        next.add(null);
        continue;
      }
      next.add(texts.get(i).decoding.next(texts.get(i).state, scores.data(), from, vocabulary));
    }
    if (!notFinite.isEmpty()) {
      // It may be the weights and not the request.
      check.digest();
      Text first = texts.get(notFinite.get(0));
      throw new NotFiniteException(
          ("The network's scores at token %d of request '%s' are not finite. A model can overflow"
                  + " in half precision; use float32.")
              .formatted(first.step(), first.request.id()),
          notFinite);
    }
    row = 0;
    for (int i = 0; i < texts.size(); i++) {
      Text text = texts.get(i);
      List<ReadTokens> read = called.read();
      text.moveTo(next.get(i), read.isEmpty() ? read : read.subList(row, row + text.rows()));
      row += text.rows();
    }
  }

  private static boolean finite(float[] values, int from, int to) {
    for (int i = from; i < to; i++) {
      if (!Float.isFinite(values[i])) {
        return false;
      }
    }
    return true;
  }

  @Override
  public List<GeneratedImage> finish(List<Trajectory> batch) {
    // No text of weights that have not been checked, or have been changed where they are mapped.
    check.digest();
    check.requireNotWritten();
    return batch.stream()
        .map(Text.class::cast)
        .map(
            text -> {
              int[] tokens = text.decoding.result(text.state);
              boolean ended = tokens.length > 0 && tokens[tokens.length - 1] == task.end();
              return GeneratedImage.ofText(
                  text.request,
                  new GeneratedText(
                      task.text(text.beginning.prompt(), tokens),
                      tokens.length - (ended ? 1 : 0),
                      ended));
            })
        .toList();
  }

  @Override
  public void close() {
    check.close();
    task.close();
  }

  /** One text under way. */
  private final class Text implements Trajectory {
    private final GenerationRequest request;
    private final TextDecoding decoding;
    private final TextTask.Beginning beginning;
    private TextDecoding.State state;

    /** Of each beam; empty where nothing is kept. */
    private List<ReadTokens> read = List.of();

    private long readBytes;

    Text(
        GenerationRequest request,
        TextDecoding decoding,
        TextTask.Beginning beginning,
        TextDecoding.State state) {
      this.request = request;
      this.decoding = decoding;
      this.beginning = beginning;
      this.state = state;
    }

    private List<TextTask.Row> rowsOfCall() {
      List<TextTask.Row> rows = new ArrayList<>();
      for (int i = 0; i < state.tokens().length; i++) {
        rows.add(
            new TextTask.Row(
                beginning, whole(state.tokens()[i]), read.isEmpty() ? null : read.get(i)));
      }
      return rows;
    }

    /**
     * @param of what has been read of each beam that the next ones go on from
     */
    private void moveTo(TextDecoding.State next, List<ReadTokens> of) {
      close();
      state = next;
      if (of.isEmpty() || next.over()) {
        return;
      }
      // As if beams shared nothing.
      long bytes = task.readBytes() * of.size() * of.get(0).length();
      if (bytes <= room) {
        room -= bytes;
        readBytes = bytes;
        read = Arrays.stream(next.parents()).mapToObj(of::get).toList();
      }
    }

    @Override
    public void close() {
      room += readBytes;
      readBytes = 0;
      read = List.of();
    }

    /** The prompt's tokens and those behind it. */
    private int[] whole(int[] tokens) {
      int[] prompt = beginning.prompt();
      int[] all = Arrays.copyOf(prompt, prompt.length + tokens.length);
      System.arraycopy(tokens, 0, all, prompt.length, tokens.length);
      return all;
    }

    @Override
    public GenerationRequest request() {
      return request;
    }

    @Override
    public int step() {
      return state.length();
    }

    @Override
    public int totalSteps() {
      return decoding.maxNewTokens();
    }

    @Override
    public boolean done() {
      return state.over();
    }

    @Override
    public int rows() {
      return decoding.beams();
    }

    /** Texts of all lengths share calls. */
    @Override
    public Object batchKey() {
      return TextPipeline.class;
    }

    @Override
    public TrajectorySnapshot snapshot() {
      return new TrajectorySnapshot(
          request, basis, state.length(), decoding.save(state), NO_HISTORY, NO_NOISE);
    }
  }

  private final class TextModel implements Model {
    @Override
    public ModelInfo info() {
      return info;
    }

    @Override
    public Signature signature() {
      return task.signature();
    }

    @Override
    public ResultMeaning result(Arguments request) {
      return ResultMeaning.TEXT;
    }

    @Override
    public String taskName(Arguments request) {
      return task.name();
    }

    @Override
    public GenerationRequest prepare(GenerationSpec spec) {
      GenerationRequest request = signature().resolve(spec);
      if (request.get(Parameters.DO_SAMPLE) == 1 && request.get(Parameters.NUM_BEAMS) > 1) {
        throw new InvalidRequestException(
            "The request has doSample 1 and numBeams %d; sampling has one beam. Leave one of them out."
                .formatted(request.get(Parameters.NUM_BEAMS)));
      }
      task.check(request);
      return request;
    }

    @Override
    public int calls(GenerationRequest request) {
      return request.get(Parameters.MAX_NEW_TOKENS).intValue();
    }

    @Override
    public long trajectoryBytes(GenerationRequest request) {
      return task.stateBytes() + (long) Float.BYTES * decoding(request).savedSize();
    }

    @Override
    public long encodedPixels(GenerationRequest request) {
      return task.imagePixels();
    }

    @Override
    public Optional<Tiling> tiling() {
      return Optional.empty();
    }
  }

  /** What all models that write texts take. */
  static Signature withDecoding(Signature signature) {
    return signature
        .withDefault(Parameters.MAX_NEW_TOKENS, 20L)
        .withDefault(Parameters.NUM_BEAMS, 1L)
        .withDefault(Parameters.LENGTH_PENALTY, 1.0)
        .withDefault(Parameters.DO_SAMPLE, 0L)
        .withDefault(Parameters.SAMPLING_TEMPERATURE, 1.0)
        .withDefault(Parameters.TOP_K, 50L)
        .withDefault(Parameters.TOP_P, 1.0);
  }
}
