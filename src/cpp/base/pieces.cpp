#include "base/pieces.hpp"

#include <algorithm>

#include "base/index.hpp"

namespace pylstm {

Pieces::Pieces(Dim n, int threads, Dim smallest, Dim multiple, Dim largest)
    : n_(n),
      smallest_(std::max(multiple, round_up(std::min(smallest, largest), multiple))),
      multiple_(multiple),
      largest_(std::max(multiple, largest / multiple * multiple)),
      paces_(threads),
      threads_(static_cast<std::size_t>(std::max(1, threads))) {
  renew(0, 1);
}

void Pieces::renew(int index, int size) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const int shares = static_cast<int>(threads_.size());
  for (int i = index; i < shares; i += size) threads_[at(i)].left = paces_.share(n_, i, shares, multiple_);
}

Dim Pieces::size_of_piece(Range left) const {
  const Dim count = left.end - left.begin;
  const Dim half = std::max(smallest_, round_up((count + 1) / 2, multiple_));
  return std::min(largest_, threads_.size() == 1 || count - half < smallest_ ? count : half);
}

Range Pieces::take(Range& own) {
  if (own.begin < own.end) {
    const Range piece = {own.begin, own.begin + size_of_piece(own)};
    own.begin = piece.end;
    return piece;
  }
  Range& other = std::max_element(threads_.begin(), threads_.end(), [](const Thread& a, const Thread& b) {
                   return a.left.end - a.left.begin < b.left.end - b.left.begin;
                 })->left;
  if (other.begin == other.end) return other;
  const Range piece = {round_up(other.end - size_of_piece(other), multiple_), other.end};
  other.end = piece.begin;
  return piece;
}

Range Pieces::next(int index) {
  Thread& thread = threads_[at(index)];
  if (thread.taken > 0) paces_.did(index, static_cast<double>(thread.taken), Paces::seconds_since(thread.start));
  Range piece = {0, 0};
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    piece = take(thread.left);
  }
  thread.taken = piece.end - piece.begin;
  thread.start = Paces::Clock::now();
  return piece;
}

}  // namespace pylstm
