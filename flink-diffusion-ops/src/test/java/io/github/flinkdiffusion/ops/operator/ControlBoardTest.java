/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.flinkdiffusion.connector.event.CancelEvent;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.OptionalLong;
import java.util.concurrent.CompletableFuture;
import java.util.stream.IntStream;
import org.apache.flink.runtime.operators.coordination.CoordinationResponse;
import org.apache.flink.runtime.operators.coordination.CoordinatorStoreImpl;
import org.apache.flink.streaming.api.operators.collect.CollectCoordinationResponse;
import org.junit.jupiter.api.Test;

/** Cancellations in the job manager, between their relay and an operator's subtasks. */
class ControlBoardTest {
  private static final String NAME = "board";
  private static final Duration LONG = Duration.ofHours(1);

  private final ControlBoard board = new ControlBoard(LONG);

  private static byte[] cancellation(String id) {
    return new Cancellation(CancelEvent.newBuilder().setId(id).build(), OptionalLong.of(7))
        .encode();
  }

  private void putUp(String... ids) {
    board
        .handle(
            new ControlRequest.Put(
                NAME, List.of(ids).stream().map(ControlBoardTest::cancellation).toList()))
        .join();
  }

  /** A subtask of the operator. */
  private static final class Reader {
    private final ControlBoard board;
    private String edition = "";
    private long number;
    final List<String> ids = new ArrayList<>();

    Reader(ControlBoard board) {
      this.board = board;
    }

    CompletableFuture<CoordinationResponse> ask() {
      return board.handle(new ControlRequest.After(NAME, edition, number));
    }

    void read(CompletableFuture<CoordinationResponse> answer) throws Exception {
      CollectCoordinationResponse response = (CollectCoordinationResponse) answer.getNow(null);
      edition = response.getVersion();
      number = response.getLastCheckpointedOffset();
      ControlBoard.messages(response)
          .forEach(message -> ids.add(Cancellation.decode(message).event().getId()));
    }
  }

  @Test
  void anAnswerWaitsUntilThereIsSomething() throws Exception {
    Reader reader = new Reader(board);
    CompletableFuture<CoordinationResponse> answer = reader.ask();
    assertThat(answer).isNotDone();
    putUp("a", "b");
    reader.read(answer);
    assertThat(reader.ids).containsExactly("a", "b");

    CompletableFuture<CoordinationResponse> next = reader.ask();
    assertThat(next).isNotDone();
    putUp("c");
    reader.read(next);
    assertThat(reader.ids).containsExactly("a", "b", "c");
  }

  @Test
  void aSubtaskThatStartsLaterReadsAllFromTheBeginning() throws Exception {
    putUp("a");
    putUp("b");
    Reader late = new Reader(board);
    late.read(late.ask());
    assertThat(late.ids).containsExactly("a", "b");
  }

  @Test
  void anAnswerThatHasWaitedLongEnoughIsEmpty() throws Exception {
    ControlBoard impatient = new ControlBoard(Duration.ZERO);
    Reader reader = new Reader(impatient);
    CompletableFuture<CoordinationResponse> answer = reader.ask();
    answer.join();
    reader.read(answer);
    assertThat(reader.ids).isEmpty();
  }

  @Test
  void aBoardOfAnotherJobManagerIsReadFromTheBeginning() throws Exception {
    putUp("a", "b");
    Reader reader = new Reader(board);
    reader.read(reader.ask());
    ControlBoard other = new ControlBoard(LONG);
    other.handle(new ControlRequest.Put(NAME, List.of(cancellation("c")))).join();
    CompletableFuture<CoordinationResponse> answer =
        other.handle(new ControlRequest.After(NAME, reader.edition, reader.number));
    reader.read(answer);
    assertThat(reader.ids).containsExactly("a", "b", "c");
  }

  @Test
  void manyComeInSeveralAnswersAndOnlyTheLastAreKept() throws Exception {
    String long1000 = "x".repeat(1000);
    int put = ControlBoard.MOST + 5;
    for (int i = 0; i < put; i++) {
      putUp(i + long1000);
    }
    Reader reader = new Reader(board);
    int answers = 0;
    while (reader.number < put) {
      reader.read(reader.ask());
      answers++;
    }
    assertThat(answers).isGreaterThan(1);
    assertThat(reader.ids)
        .containsExactlyElementsOf(IntStream.range(5, put).mapToObj(i -> i + long1000).toList());
  }

  @Test
  void whatTheRelayRemembersIsBoundedInNumberAndSize() {
    LastMessages last = new LastMessages(3, 10);
    for (int size = 1; size <= 4; size++) {
      last.add(new byte[size]);
    }
    assertThat(last.all()).extracting(each -> each.length).containsExactly(2, 3, 4);
    last.add(new byte[5]);
    assertThat(last.all()).extracting(each -> each.length).containsExactly(4, 5);
    last.add(new byte[50]);
    assertThat(last.all()).extracting(each -> each.length).containsExactly(50);
    last.clear();
    assertThat(last.all()).isEmpty();
  }

  @Test
  void aMessageOfTheRelayIsBoundedInSizeButHasAtLeastOne() {
    Deque<byte[]> pending =
        new ArrayDeque<>(List.of(new byte[20], new byte[4], new byte[6], new byte[1]));
    assertThat(LastMessages.batch(pending, 10)).hasSize(1);
    assertThat(LastMessages.batch(pending, 10)).hasSize(2);
    assertThat(LastMessages.batch(pending, 10)).hasSize(1);
    assertThat(LastMessages.batch(pending, 10)).isEmpty();
  }

  @Test
  void aJobHasOneBoardOfAName() {
    CoordinatorStoreImpl store = new CoordinatorStoreImpl();
    assertThat(ControlBoard.in(store, "a"))
        .isSameAs(ControlBoard.in(store, "a"))
        .isNotSameAs(ControlBoard.in(store, "b"));
  }

  @Test
  void aCancellationKeepsItsEventAndTime() {
    CancelEvent event = CancelEvent.newBuilder().setId("a").setReason("void").build();
    assertThat(Cancellation.decode(new Cancellation(event, OptionalLong.of(-3)).encode()))
        .isEqualTo(new Cancellation(event, OptionalLong.of(-3)));
    assertThat(Cancellation.decode(new Cancellation(event, OptionalLong.empty()).encode()))
        .isEqualTo(new Cancellation(event, OptionalLong.empty()));
  }
}
