/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.cluster;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.EnumSet;
import java.util.List;
import java.util.Locale;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.stream.Stream;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** The program behind {@code examples/cluster/chaos}. */
@Command(
    name = "chaos",
    mixinStandardHelpOptions = true,
    sortOptions = false,
    description = {
      "Breaks something in every round while requests keep coming, and checks that each is answered"
          + " once and right.",
      "",
      "A run that was ended, by Ctrl-C too, goes on when it is started again."
    })
public final class Chaos implements Callable<Integer> {
  @Option(
      names = "--rounds",
      paramLabel = "N",
      defaultValue = "40",
      description = "Rounds, those of before included (default: ${DEFAULT-VALUE}).")
  private int rounds;

  @Option(
      names = "--seed",
      paramLabel = "N",
      description =
          "Draws requests, faults and their details (default: that of the run that goes on, else"
              + " a new one).")
  private Long seed;

  @Option(
      names = "--folder",
      paramLabel = "FOLDER",
      defaultValue = "target/chaos",
      description = "Of the run: logs, state, Kafka's records (default: ${DEFAULT-VALUE}).")
  private Path folder;

  @Option(names = "--fresh", description = "Delete the folder first: a new run.")
  private boolean fresh;

  @Option(
      names = "--faults",
      paramLabel = "FAULT",
      split = ",",
      description = "To draw from (default: all): ${COMPLETION-CANDIDATES}.")
  private List<Fault> faults = List.of(Fault.values());

  @Option(
      names = "--without",
      paramLabel = "POISON",
      split = ",",
      description = "Bad requests that are not sent: ${COMPLETION-CANDIDATES}.")
  private Set<ChaosRequests.Poison> without = EnumSet.noneOf(ChaosRequests.Poison.class);

  public static void main(String[] args) {
    System.exit(commandLine(new Chaos()).execute(args));
  }

  static CommandLine commandLine(Chaos chaos) {
    return new CommandLine(chaos)
        .setCaseInsensitiveEnumValuesAllowed(true)
        .registerConverter(
            Fault.class, name -> Fault.valueOf(name.toUpperCase(Locale.ROOT).replace('-', '_')))
        .registerConverter(
            ChaosRequests.Poison.class,
            name -> ChaosRequests.Poison.valueOf(name.toUpperCase(Locale.ROOT).replace('-', '_')));
  }

  @Override
  public Integer call() throws Exception {
    if (fresh) {
      delete(folder);
    }
    long chosen = seed != null ? seed : earlierSeed();
    System.out.printf(
        Locale.ROOT,
        "seed %d, folder %s; full and read-only folders are %s%n",
        chosen,
        folder,
        Breakage.mounts() ? "real" : "stood in for by folders that are gone: no mounts here");
    List<ChaosRound> all = new ArrayList<>();
    boolean right = true;
    try (ChaosRun run = new ChaosRun(folder, chosen, faults, without)) {
      // Ctrl-C and kill: nothing keeps running. Twice is no harm.
      Thread stop = new Thread(() -> run.cluster().tryRun("stop"));
      Runtime.getRuntime().addShutdownHook(stop);
      run.start();
      if (run.done() > 0) {
        System.out.println("goes on behind round " + run.done());
      }
      System.out.println(ChaosRound.HEAD);
      for (int number = run.done() + 1; number <= rounds; number++) {
        ChaosRound round = run.round(number);
        System.out.println(round);
        run.ledger().complaints().forEach(complaint -> System.out.println("       " + complaint));
        System.out.flush();
        all.add(round);
        right &= round.isRight();
        if (round.books().missing() > 0 || round.open() > 0) {
          System.out.println("ends here: what is missing would be missing in every round");
          break;
        }
      }
      summary(run, all);
      Ledger.Books books = run.ledger().books();
      right &=
          books.missing() == 0
              && books.twice() == 0
              && books.wrong() == 0
              && books.different() == 0;
      Runtime.getRuntime().removeShutdownHook(stop);
    }
    return right ? 0 : 1;
  }

  private static void summary(ChaosRun run, List<ChaosRound> rounds) {
    Ledger.Books books = run.ledger().books();
    System.out.printf(
        Locale.ROOT,
        "%d rounds: %d requests, %d answered, %d twice, %d missing, %d wrong, %d of %d images equal"
            + " within one of 256 levels, %d steps redone; a round took %d s in the median, %d s"
            + " at most%n",
        run.done(),
        books.asked(),
        books.answered(),
        books.twice(),
        books.missing(),
        books.wrong(),
        books.images() - books.different(),
        books.images(),
        books.redone(),
        percentile(rounds, 0.5),
        percentile(rounds, 1));
  }

  private static long percentile(List<ChaosRound> rounds, double share) {
    long[] sorted = rounds.stream().mapToLong(ChaosRound::seconds).sorted().toArray();
    return sorted.length == 0
        ? 0
        : sorted[Math.min(sorted.length - 1, (int) (share * sorted.length))];
  }

  private long earlierSeed() throws IOException {
    Path file = folder.resolve("state.properties");
    if (Files.exists(file)) {
      Properties state = new Properties();
      try (var in = Files.newInputStream(file)) {
        state.load(in);
      }
      return Long.parseLong(state.getProperty("seed"));
    }
    return System.nanoTime() & 0xffffff;
  }

  private static void delete(Path folder) throws IOException {
    if (Files.exists(folder)) {
      try (Stream<Path> files = Files.walk(folder)) {
        for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
          Files.delete(file);
        }
      }
    }
  }
}
