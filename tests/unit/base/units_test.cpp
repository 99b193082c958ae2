#include "sandbox/base/units.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <random>
#include <string>

namespace bulkhead {
namespace {

using std::chrono::milliseconds;

template <class T>
std::string refusal(const Result<T>& result) {
  return result ? "accepted" : result.error().text();
}

TEST(ParseBytes, ReadsEveryUnit) {
  EXPECT_EQ(parse_bytes("0").value(), 0U);
  EXPECT_EQ(parse_bytes("65536").value(), 65536U);
  EXPECT_EQ(parse_bytes("3Ki").value(), 3072U);
  EXPECT_EQ(parse_bytes("4Gi").value(), 4ULL << 30);
  EXPECT_EQ(parse_bytes("2Ti").value(), 2ULL << 40);
  EXPECT_EQ(parse_bytes("1Pi").value(), 1ULL << 50);
  EXPECT_EQ(parse_bytes("1Ei").value(), 1ULL << 60);
  EXPECT_EQ(parse_bytes("7k").value(), 7000U);
  EXPECT_EQ(parse_bytes("100M").value(), 100'000'000U);
  EXPECT_EQ(parse_bytes("2G").value(), 2'000'000'000U);
  EXPECT_EQ(parse_bytes("1T").value(), 1'000'000'000'000U);
  EXPECT_EQ(parse_bytes("1.5Gi").value(), 3ULL << 29);
  EXPECT_EQ(parse_bytes("0.5Ki").value(), 512U);
}

TEST(ParseBytes, TakesAllOf64BitsAndNotOneMore) {
  EXPECT_EQ(parse_bytes("18446744073709551615").value(), std::numeric_limits<std::uint64_t>::max());
  EXPECT_EQ(refusal(parse_bytes("18446744073709551616")),
            "read size '18446744073709551616': is more than 64 bits hold");
  EXPECT_EQ(refusal(parse_bytes("16Ei")), "read size '16Ei': is more than 64 bits hold");
  // The whole part alone would fit: the fraction takes it past the end.
  EXPECT_EQ(refusal(parse_bytes("18446744073709551.999k")),
            "read size '18446744073709551.999k': is more than 64 bits hold");
  EXPECT_EQ(parse_bytes("18446744073709551.615k").value(), std::numeric_limits<std::uint64_t>::max());
  // Twenty digits, nine more and the largest unit: more than 128 bits would be needed to multiply first.
  EXPECT_EQ(refusal(parse_bytes("99999999999999999999.999999999Ei")),
            "read size '99999999999999999999.999999999Ei': is more than 64 bits hold");
}

TEST(ParseBytes, RefusesWhatIsNoSize) {
  for (const char* text :
       {"", "Gi", "-1", "+1", "1 Gi", " 1", "1gi", "1GB", "1K", "1m", "0x10", "1e3", ".5Gi", "1.Gi", "1.5.5", "٣"})
    EXPECT_EQ(refusal(parse_bytes(text)), "read size '" + std::string(text) + "': expected a size such as 512Mi or 2Gi")
        << text;
  EXPECT_EQ(refusal(parse_bytes("0.3")), "read size '0.3': is not a whole number of bytes");
  EXPECT_EQ(refusal(parse_bytes("1.0001Ki")), "read size '1.0001Ki': is not a whole number of bytes");
  EXPECT_EQ(refusal(parse_bytes("1\x1b[2J")), "read size '1\\x1b[2J': expected a size such as 512Mi or 2Gi");
}

TEST(ParseCpu, ReadsCpusAndThousandths) {
  EXPECT_EQ(parse_cpu_milli("2").value(), 2000U);
  EXPECT_EQ(parse_cpu_milli("1.5").value(), 1500U);
  EXPECT_EQ(parse_cpu_milli("500m").value(), 500U);
  EXPECT_EQ(parse_cpu_milli("0.001").value(), 1U);
  EXPECT_EQ(parse_cpu_milli("0").value(), 0U);
  EXPECT_EQ(parse_cpu_milli("1000").value(), 1'000'000U);
}

TEST(ParseCpu, RefusesTheRest) {
  EXPECT_EQ(refusal(parse_cpu_milli("two")), "read CPU share 'two': expected a number of CPUs such as 2, 1.5 or 500m");
  EXPECT_EQ(refusal(parse_cpu_milli("2 CPUs")),
            "read CPU share '2 CPUs': expected a number of CPUs such as 2, 1.5 or 500m");
  EXPECT_EQ(refusal(parse_cpu_milli("0.0001")), "read CPU share '0.0001': is finer than a thousandth of a CPU");
  EXPECT_EQ(refusal(parse_cpu_milli("0.5m")), "read CPU share '0.5m': is finer than a thousandth of a CPU");
  EXPECT_EQ(refusal(parse_cpu_milli("1000.001")), "read CPU share '1000.001': is more than 1000 CPUs");
  EXPECT_EQ(refusal(parse_cpu_milli("99999999999999999999")),
            "read CPU share '99999999999999999999': is more than 1000 CPUs");
}

TEST(ParseDuration, ReadsOneUnitOrSeveral) {
  EXPECT_EQ(parse_duration("250ms").value(), milliseconds(250));
  EXPECT_EQ(parse_duration("10s").value(), milliseconds(10'000));
  EXPECT_EQ(parse_duration("30m").value(), milliseconds(1'800'000));
  EXPECT_EQ(parse_duration("1h30m").value(), milliseconds(5'400'000));
  EXPECT_EQ(parse_duration("1d2h3m4s5ms").value(), milliseconds(93'784'005));
  EXPECT_EQ(parse_duration("1.5h").value(), milliseconds(5'400'000));
  EXPECT_EQ(parse_duration("0.25s").value(), milliseconds(250));
  EXPECT_EQ(parse_duration("0").value(), milliseconds(0));
  EXPECT_EQ(parse_duration("0s").value(), milliseconds(0));
  EXPECT_EQ(parse_duration("36525d").value(), milliseconds(36'525LL * 86'400'000));
}

TEST(ParseDuration, RefusesTheRest) {
  for (const char* text : {"", "10", "s", "-1s", "10 s", "10S", "1h30", "1hm", "10sec", "1e3s"})
    EXPECT_EQ(refusal(parse_duration(text)),
              "read duration '" + std::string(text) + "': expected a duration such as 250ms, 10s, 30m or 1h30m")
        << text;
  EXPECT_EQ(refusal(parse_duration("30m1h")), "read duration '30m1h': has its units out of order or twice");
  EXPECT_EQ(refusal(parse_duration("1s1s")), "read duration '1s1s': has its units out of order or twice");
  EXPECT_EQ(refusal(parse_duration("0.5ms")), "read duration '0.5ms': is finer than a millisecond");
  EXPECT_EQ(refusal(parse_duration("36525d1ms")), "read duration '36525d1ms': is more than a century");
  EXPECT_EQ(refusal(parse_duration("99999999999999999999d")),
            "read duration '99999999999999999999d': is more than a century");
}

TEST(FormatBytes, RoundsToATenthOfTheLargestUnit) {
  EXPECT_EQ(format_bytes(0), "0");
  EXPECT_EQ(format_bytes(812), "812");
  EXPECT_EQ(format_bytes(1023), "1023");
  EXPECT_EQ(format_bytes(1024), "1Ki");
  EXPECT_EQ(format_bytes(3ULL << 19), "1.5Mi");
  EXPECT_EQ(format_bytes(4ULL << 30), "4Gi");
  EXPECT_EQ(format_bytes((1ULL << 20) - 1), "1Mi");  // not "1024Ki"
  EXPECT_EQ(format_bytes((1ULL << 30) - 1), "1Gi");
  EXPECT_EQ(format_bytes(std::numeric_limits<std::uint64_t>::max()), "16Ei");
}

TEST(FormatDuration, SaysWhatWasMeant) {
  EXPECT_EQ(format_duration(milliseconds(0)), "0s");
  EXPECT_EQ(format_duration(milliseconds(250)), "250ms");
  EXPECT_EQ(format_duration(milliseconds(4'200)), "4.2s");
  EXPECT_EQ(format_duration(milliseconds(4'005)), "4.005s");
  EXPECT_EQ(format_duration(milliseconds(60'000)), "1m");
  EXPECT_EQ(format_duration(milliseconds(5'400'000)), "1h30m");
  EXPECT_EQ(format_duration(milliseconds(3'600'001)), "1h0.001s");
  EXPECT_EQ(format_duration(milliseconds(90'000'000)), "25h");
  EXPECT_EQ(format_duration(milliseconds(-1'500)), "-1.5s");
  EXPECT_EQ(format_duration(milliseconds(std::numeric_limits<std::int64_t>::min())), "-2562047788015h12m55.808s");
}

TEST(FormatCpu, WholeOrThousandths) {
  EXPECT_EQ(format_cpu(0), "0");
  EXPECT_EQ(format_cpu(2000), "2");
  EXPECT_EQ(format_cpu(500), "500m");
  EXPECT_EQ(format_cpu(1500), "1500m");
}

TEST(Units, WhatIsFormattedExactlyReadsBackAsItself) {
  std::mt19937_64 random(7);
  for (int i = 0; i < 20'000; ++i) {
    const milliseconds duration(static_cast<std::int64_t>(random() % (std::uint64_t{1} << (random() % 41))));
    EXPECT_EQ(parse_duration(format_duration(duration)).value(), duration) << duration.count();
    const auto milli = static_cast<std::uint32_t>(random() % 1'000'001);
    EXPECT_EQ(parse_cpu_milli(format_cpu(milli)).value(), milli);
  }
}

}  // namespace
}  // namespace bulkhead
