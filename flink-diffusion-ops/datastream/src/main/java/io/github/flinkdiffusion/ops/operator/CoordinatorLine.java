/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import java.io.IOException;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.function.BiConsumer;

/** {@link Probation}'s line to the {@link DiffusionCoordinator}. */
final class CoordinatorLine implements Probation.Line {
  private final SubtaskLink link;
  private final ClassLoader userCode;

  /**
   * @param userCode class loader of the job's own classes, for the coordinator's answers
   */
  CoordinatorLine(SubtaskLink link, ClassLoader userCode) {
    this.link = link;
    this.userCode = userCode;
  }

  @Override
  public CompletableFuture<Verdict> send(CoordinatorRequest request) {
    try {
      return link.send(request)
          .thenApply(
              response -> {
                try {
                  return DiffusionCoordinator.verdict(response, userCode);
                } catch (IOException e) {
                  throw new CompletionException(e);
                }
              });
    } catch (IOException | RuntimeException e) {
      return CompletableFuture.failedFuture(e);
    }
  }

  @Override
  public void whenDone(CompletableFuture<Verdict> answer, BiConsumer<Verdict, Throwable> then) {
    if (answer.isDone()) {
      answer.whenComplete(then);
    } else {
      answer.whenComplete(
          (verdict, failure) ->
              link.mail(() -> then.accept(verdict, failure), "the coordinator has answered"));
    }
  }

  @Override
  public void later(Duration after, Runnable then) {
    link.later(after, then);
  }
}
