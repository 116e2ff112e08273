/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.cluster;

import java.util.Locale;

/**
 * What a round came to.
 *
 * @param detail what exactly was broken
 * @param books of this round alone
 * @param open partitions that a transaction keeps from being read, when all is answered
 * @param restarts of all jobs, as far as the JobManagers remember
 */
record ChaosRound(
    int number,
    Fault fault,
    String detail,
    Ledger.Books books,
    int open,
    int restarts,
    long seconds) {
  static final String HEAD =
      String.format(
          Locale.ROOT,
          "%5s  %-18s %8s %8s %5s %7s %5s %13s %4s %6s %8s %4s  %s",
          "round",
          "fault",
          "requests",
          "answered",
          "twice",
          "missing",
          "wrong",
          "images equal",
          "open",
          "redone",
          "restarts",
          "s",
          "detail");

  boolean isRight() {
    return books.missing() == 0
        && books.twice() == 0
        && books.wrong() == 0
        && books.different() == 0
        && open == 0
        && (fault != Fault.POISON || restarts == 0);
  }

  @Override
  public String toString() {
    return String.format(
        Locale.ROOT,
        "%5d  %-18s %8d %8d %5d %7d %5d %13s %4d %6d %8d %4d  %s",
        number,
        fault,
        books.asked(),
        books.answered(),
        books.twice(),
        books.missing(),
        books.wrong(),
        books.images() - books.different() + " of " + books.images(),
        open,
        books.redone(),
        restarts,
        seconds,
        detail);
  }
}
