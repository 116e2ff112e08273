/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.evaluation;

import io.github.flinkdiffusion.connector.event.VoteChoice;
import io.github.flinkdiffusion.connector.event.VoteEvent;
import io.github.flinkdiffusion.connector.event.VoteSubject;
import io.github.flinkdiffusion.ops.quality.BradleyTerry;
import io.github.flinkdiffusion.ops.quality.QualityException;
import io.github.flinkdiffusion.ops.quality.RaterAgreement;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;

/**
 * What people found better: win rates, strengths by Bradley and Terry, agreement of the voters, and
 * how often models are taken for real. Of a voter's votes on the same two images by one criterion,
 * the last one counts. Not thread-safe.
 */
public final class VoteStudy {
  /** Votes that are kept; a study of people has far fewer. */
  private static final int MOST_VOTES = 1_000_000;

  /** Cells of the table of voters and pairs. */
  private static final long MOST_RATINGS = 20_000_000;

  private static final String REAL = "real";
  private static final double CONFIDENCE = 0.95;
  private static final double CONCLUSIVE = 0.667;

  private record Key(String criterion, String voter, String images) {}

  /**
   * What of a vote counts.
   *
   * @param share 1 if the first is better, 0 if the second is, half for a tie
   * @param sorted the same for the one whose digest comes first
   */
  private record Kept(String first, String second, double share, double sorted, long millis) {}

  private final Map<Key, Kept> votes = new LinkedHashMap<>();
  private long repeated;
  private long unknown;

  /**
   * One vote more.
   *
   * @throws EvaluationException for more than a million
   */
  public void add(VoteEvent vote) {
    if (vote.getChoice() == VoteChoice.UNKNOWN) {
      unknown++;
      return;
    }
    String first = image(vote.getFirst());
    String second = image(vote.getSecond());
    boolean turned = first.compareTo(second) > 0;
    double share =
        vote.getChoice() == VoteChoice.TIE ? 0.5 : vote.getChoice() == VoteChoice.FIRST ? 1 : 0;
    Key key =
        new Key(
            vote.getCriterion().name(),
            vote.getVoter().isEmpty() ? "vote " + vote.getId() : vote.getVoter(),
            turned ? second + "\n" + first : first + "\n" + second);
    Kept before =
        votes.put(
            key,
            new Kept(
                name(vote.getFirst()),
                name(vote.getSecond()),
                share,
                turned ? 1 - share : share,
                vote.getMillis()));
    repeated += before == null ? 0 : 1;
    if (votes.size() > MOST_VOTES) {
      throw new EvaluationException(
          "There are more than %d votes; a study reads at most so many".formatted(MOST_VOTES));
    }
  }

  private static String image(VoteSubject subject) {
    return subject.getDigest().isEmpty() ? subject.getId() : subject.getDigest();
  }

  private static String name(VoteSubject subject) {
    return subject.getReal() ? REAL : subject.getModel();
  }

  /** What one criterion's votes say. */
  static final class Result {
    final String criterion;
    final int votes;
    final int voters;
    final List<String> names;

    /** How often the one of a row won over the one of a column; half for a tie. */
    final double[][] wins;

    /** How often the image shown first was chosen, of votes that are no ties. */
    final Proportion first;

    /** Not a number where no two voters saw the same two images. */
    final double alpha;

    /** Null where {@link #whyNoStrengths} says why. */
    final BradleyTerry strengths;

    final String whyNoStrengths;
    final long medianMillis;

    private Result(String criterion, Map<Key, Kept> votes) {
      this.criterion = criterion;
      this.votes = votes.size();
      this.voters = (int) votes.keySet().stream().map(Key::voter).distinct().count();
      TreeSet<String> sorted = new TreeSet<>();
      votes.values().forEach(each -> sorted.addAll(List.of(each.first(), each.second())));
      this.names = new ArrayList<>(sorted);
      this.wins = new double[names.size()][names.size()];
      double left = 0;
      double chosen = 0;
      for (Kept each : votes.values()) {
        int one = names.indexOf(each.first());
        int other = names.indexOf(each.second());
        if (one != other) {
          wins[one][other] += each.share();
          wins[other][one] += 1 - each.share();
        }
        chosen += each.share() == 0.5 ? 0 : 1;
        left += each.share() == 1 ? 1 : 0;
      }
      this.first = Proportion.of(left, chosen);
      this.alpha = alpha(votes);
      this.medianMillis =
          votes.values().stream()
              .mapToLong(Kept::millis)
              .sorted()
              .skip(votes.size() / 2)
              .findFirst()
              .orElse(0);
      BradleyTerry found = null;
      String why = "";
      try {
        found = BradleyTerry.of(wins);
      } catch (QualityException e) {
        why = e.getMessage();
      }
      this.strengths = found;
      this.whyNoStrengths = why;
    }

    private static double alpha(Map<Key, Kept> votes) {
      Map<String, Map<String, Double>> byPair = new TreeMap<>();
      votes.forEach(
          (key, vote) ->
              byPair
                  .computeIfAbsent(key.images(), images -> new TreeMap<>())
                  .put(key.voter(), vote.sorted()));
      byPair.values().removeIf(ratings -> ratings.size() < 2);
      TreeSet<String> voters = new TreeSet<>();
      byPair.values().forEach(ratings -> voters.addAll(ratings.keySet()));
      if (byPair.isEmpty()) {
        return Double.NaN;
      }
      if ((long) voters.size() * byPair.size() > MOST_RATINGS) {
        throw new EvaluationException(
            "Agreement of %d voters on %d pairs of images; at most %d combinations are supported"
                .formatted(voters.size(), byPair.size(), MOST_RATINGS));
      }
      List<String> rows = new ArrayList<>(voters);
      double[][] table = new double[rows.size()][byPair.size()];
      int column = 0;
      for (Map<String, Double> ratings : byPair.values()) {
        for (int row = 0; row < rows.size(); row++) {
          table[row][column] = ratings.getOrDefault(rows.get(row), Double.NaN);
        }
        column++;
      }
      return RaterAgreement.alpha(table, RaterAgreement.Scale.NOMINAL);
    }

    Proportion rate(int one, int other) {
      return Proportion.of(wins[one][other], wins[one][other] + wins[other][one]);
    }
  }

  /** By criterion, in the order of their names. */
  List<Result> results() {
    Map<String, Map<Key, Kept>> byCriterion = new TreeMap<>();
    votes.forEach(
        (key, vote) ->
            byCriterion
                .computeIfAbsent(key.criterion(), criterion -> new LinkedHashMap<>())
                .put(key, vote));
    List<Result> results = new ArrayList<>();
    byCriterion.forEach((criterion, all) -> results.add(new Result(criterion, all)));
    return results;
  }

  /** A report in Markdown. */
  public String text() {
    StringBuilder text = new StringBuilder("# What people found better\n\n");
    text.append(
        "%d votes. Left out: %d that the same voter gave again later, %d with an unknown answer. Intervals are of 95 %%.\n"
            .formatted(votes.size(), repeated, unknown));
    for (Result result : results()) {
      criterion(text, result);
    }
    return text.toString();
  }

  private static void criterion(StringBuilder text, Result result) {
    text.append("\n## ").append(result.criterion.toLowerCase(Locale.ROOT)).append("\n\n");
    text.append(
        "%d votes of %d voters, median time %.1f s.\n\n"
            .formatted(result.votes, result.voters, result.medianMillis / 1000.0));
    if (!Double.isNaN(result.first.share())) {
      text.append("- The image shown first was chosen in ")
          .append(result.first.percent())
          .append(
              result.first.low() > 0.5 || result.first.high() < 0.5
                  ? ": the place matters, so compare with care.\n"
                  : ".\n");
    }
    text.append(
        Double.isNaN(result.alpha)
            ? "- Agreement of the voters is not known: no two of them differed on, or saw, the same"
                + " two images.\n"
            : String.format(
                Locale.ROOT,
                "- Krippendorff's alpha of the voters is %.3f%s\n",
                result.alpha,
                result.alpha < CONCLUSIVE
                    ? ", below 0.667: voters differ too much for conclusions about single images."
                    : "."));
    text.append("\n| | against | votes | better, ties as half |\n| --- | --- | --- | --- |\n");
    for (int i = 0; i < result.names.size(); i++) {
      for (int j = i + 1; j < result.names.size(); j++) {
        double all = result.wins[i][j] + result.wins[j][i];
        if (all > 0) {
          text.append(
              "| %s | %s | %.0f | %s |\n"
                  .formatted(
                      result.names.get(i), result.names.get(j), all, result.rate(i, j).percent()));
        }
      }
    }
    if (result.strengths == null) {
      text.append("\nNo strengths: ").append(result.whyNoStrengths).append(".\n");
    } else {
      strengths(text, result);
    }
    realism(text, result);
  }

  private static void strengths(StringBuilder text, Result result) {
    text.append(
        "\n"
            + "Strengths by Bradley and Terry: a difference of 1 is won in 73 of 100"
            + " comparisons.\n\n"
            + "| | strength | interval |\n"
            + "| --- | --- | --- |\n");
    double[] strengths = result.strengths.strengths();
    Integer[] order = new Integer[strengths.length];
    Arrays.setAll(order, i -> i);
    Arrays.sort(order, (a, b) -> Double.compare(strengths[b], strengths[a]));
    for (int i : order) {
      double margin = result.strengths.margin(i, CONFIDENCE);
      text.append(
          String.format(
              Locale.ROOT,
              "| %s | %.2f | %.2f to %.2f |\n",
              result.names.get(i),
              strengths[i],
              strengths[i] - margin,
              strengths[i] + margin));
    }
  }

  private static void realism(StringBuilder text, Result result) {
    int real = result.names.indexOf(REAL);
    if (!result.criterion.equals("REALISM") || real < 0) {
      return;
    }
    text.append(
        "\n"
            + "Taken for more real than a real image; 50 % is what a model reaches that cannot be"
            + " told apart:\n\n");
    for (int i = 0; i < result.names.size(); i++) {
      if (i != real && result.wins[i][real] + result.wins[real][i] > 0) {
        text.append("- ")
            .append(result.names.get(i))
            .append(": ")
            .append(result.rate(i, real).percent())
            .append('\n');
      }
    }
  }
}
