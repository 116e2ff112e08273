/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.docs;

import static java.util.stream.Collectors.toMap;
import static org.assertj.core.api.Assertions.assertThat;

import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import org.commonmark.node.AbstractVisitor;
import org.commonmark.node.Image;
import org.commonmark.node.Link;
import org.commonmark.node.Node;
import org.junit.jupiter.api.Test;

/** Links lead to files and headings that are there. Other hosts are not asked. */
class LinksTest {
  private final List<Page> pages = Page.all();
  private final Map<Path, Page> byFile =
      pages.stream().collect(toMap(Page::file, Function.identity()));
  private final List<String> broken = new ArrayList<>();
  private int checked;

  @Test
  void eachLinkLeadsSomewhere() {
    for (Page page : pages) {
      page.root()
          .accept(
              new AbstractVisitor() {
                @Override
                public void visit(Link link) {
                  check(page, link, link.getDestination());
                  visitChildren(link);
                }

                @Override
                public void visit(Image image) {
                  check(page, image, image.getDestination());
                }
              });
    }
    assertThat(broken).isEmpty();
    assertThat(checked).isGreaterThan(100);
  }

  private void check(Page page, Node node, String destination) {
    checked++;
    String why = problem(page, destination);
    if (why != null) {
      broken.add("%s: %s: %s".formatted(page.place(node), destination, why));
    }
  }

  private String problem(Page page, String destination) {
    URI uri;
    try {
      uri = URI.create(destination);
    } catch (IllegalArgumentException e) {
      return "is not a URI";
    }
    if (uri.getScheme() != null) {
      return uri.getScheme().equals("https") ? null : "use https";
    }
    Path folder = page.file().resolveSibling("");
    Path target = uri.getPath().isEmpty() ? page.file() : folder.resolve(uri.getPath()).normalize();
    if (target.startsWith("..") || !Files.exists(Page.home().resolve(target))) {
      return "there is no " + target;
    }
    if (uri.getFragment() == null) {
      return null;
    }
    Page other = byFile.get(target);
    if (other == null) {
      return "%s has no headings".formatted(target);
    }
    return other.anchors().contains(uri.getFragment())
        ? null
        : "%s has only the headings %s".formatted(target, other.anchors());
  }
}
