/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import java.io.IOException;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.apache.flink.api.common.typeutils.base.array.BytePrimitiveArraySerializer;
import org.apache.flink.core.memory.DataOutputSerializer;
import org.apache.flink.runtime.operators.coordination.CoordinationResponse;
import org.apache.flink.runtime.operators.coordination.CoordinatorStore;
import org.apache.flink.streaming.api.operators.collect.CollectCoordinationResponse;

/**
 * Where the cancellations of one operator hang in the job manager: a {@link ControlRelay} puts them
 * up, and each subtask of the operator reads all of them, in order, whenever it (re)starts. It
 * holds the last {@value #MOST}, and at most {@value #MOST_BYTES} bytes.
 *
 * <p>It is in no checkpoint: the relay puts up again what it knows when it is restored, and
 * subtasks save what they have read. A board that was lost with its job manager is known by its
 * {@code edition}.
 *
 * <p>Answers are in a class of Flink's own, because Flink reads them with a class loader that does
 * not know the job's.
 */
final class ControlBoard {
  static final int MOST = 10_000;
  static final long MOST_BYTES = 32L << 20;

  /** A message has at least one cancellation, and then no more than fit into so much. */
  static final long MESSAGE_BYTES = 1L << 20;

  /** Below the time after which Flink gives a request up, 10 s. */
  private static final Duration WAIT = Duration.ofSeconds(5);

  private record Entry(long number, byte[] cancellation) {}

  private record Reader(long number, CompletableFuture<CoordinationResponse> answer) {}

  private final String edition = UUID.randomUUID().toString();
  private final Duration wait;
  private final Deque<Entry> entries = new ArrayDeque<>();
  private final List<Reader> waiting = new ArrayList<>();
  private long bytes;
  private long last;

  ControlBoard() {
    this(WAIT);
  }

  ControlBoard(Duration wait) {
    this.wait = wait;
  }

  /** The board of this name, which coordinators of the same job share. */
  static ControlBoard in(CoordinatorStore store, String name) {
    String key = ControlBoard.class.getName() + "/" + name;
    store.putIfAbsent(key, new ControlBoard());
    return (ControlBoard) store.get(key);
  }

  /** Any thread. */
  CompletableFuture<CoordinationResponse> handle(ControlRequest request) {
    if (request instanceof ControlRequest.Put put) {
      return CompletableFuture.completedFuture(put(put.messages()));
    }
    ControlRequest.After after = (ControlRequest.After) request;
    return after(after.edition(), after.number());
  }

  private CoordinationResponse put(List<byte[]> cancellations) {
    List<Reader> readers;
    CoordinationResponse done;
    synchronized (this) {
      for (byte[] cancellation : cancellations) {
        entries.add(new Entry(++last, cancellation));
        bytes += cancellation.length;
      }
      while (entries.size() > MOST || bytes > MOST_BYTES && entries.size() > 1) {
        bytes -= entries.remove().cancellation.length;
      }
      readers = List.copyOf(waiting);
      waiting.clear();
      done = new CollectCoordinationResponse(edition, last, List.of());
    }
    // Outside of the lock: whoever waits for an answer runs in complete().
    readers.forEach(reader -> reader.answer.complete(answer(reader.number)));
    return done;
  }

  private CompletableFuture<CoordinationResponse> after(String knownEdition, long knownNumber) {
    long number = edition.equals(knownEdition) ? knownNumber : 0;
    CompletableFuture<CoordinationResponse> answer = new CompletableFuture<>();
    Reader reader = new Reader(number, answer);
    synchronized (this) {
      if (number < last) {
        answer.complete(answer(number));
        return answer;
      }
      waiting.add(reader);
    }
    answer.completeOnTimeout(
        new CollectCoordinationResponse(edition, number, List.of()),
        wait.toMillis(),
        TimeUnit.MILLISECONDS);
    answer.whenComplete((any, failure) -> forget(reader));
    return answer;
  }

  private synchronized void forget(Reader reader) {
    waiting.remove(reader);
  }

  private synchronized CoordinationResponse answer(long number) {
    List<byte[]> page = new ArrayList<>();
    long size = 0;
    long upTo = number;
    for (Entry entry : entries) {
      if (entry.number <= number) {
        continue;
      }
      size += entry.cancellation.length;
      if (size > MESSAGE_BYTES && !page.isEmpty()) {
        break;
      }
      page.add(forAnswer(entry.cancellation));
      upTo = entry.number;
    }
    return new CollectCoordinationResponse(edition, upTo, page);
  }

  private static byte[] forAnswer(byte[] cancellation) {
    try {
      DataOutputSerializer out = new DataOutputSerializer(Integer.BYTES + cancellation.length);
      BytePrimitiveArraySerializer.INSTANCE.serialize(cancellation, out);
      return out.getCopyOfBuffer();
    } catch (IOException e) {
      throw new IllegalStateException("Writing to memory failed.", e);
    }
  }

  /** The messages in an answer to {@link ControlRequest.After}. */
  static List<byte[]> messages(CollectCoordinationResponse answer) throws IOException {
    return answer.getResults(BytePrimitiveArraySerializer.INSTANCE);
  }
}
